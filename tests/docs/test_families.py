"""What docs/families.md shows as code runs and gives what it says; its table names every family."""

from __future__ import annotations

import re

from blocks import ROOT, blocks, run_block

from probes import schema
from probes.families import FAMILIES

DOCUMENT = "docs/families.md"


def test_the_code_shown_gives_the_identity() -> None:
    shown = blocks(DOCUMENT)
    assert [block.heading for block in shown if block.language == "python"] == ["In code"]
    space = run_block(next(block for block in shown if block.language == "python"), {})
    assert space["apart"] < 1e-5
    assert {"kl", "information", "mismatch", "entropy", "mean", "variance", "spread"} <= space["found"].keys()
    assert (space["found"]["information"] > 0).all()


def test_the_table_has_every_family_and_statistics_that_there_are() -> None:
    text = (ROOT / DOCUMENT).read_text("utf-8")
    table = text[text.index("| family |") : text.index("A prior that nobody named")]
    named = {
        name for row in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == FAMILIES.keys() - {"gaussian_unknown_prior"}
    for name in (
        "perplexity",
        "prior_entropy",
        "prior_variance",
        "usage",
        "joint_kl",
        "coupling",
        "dead_codes",
    ):
        assert name in table
        assert name in schema.STATISTICS or name in schema.LAYER_STATISTICS
