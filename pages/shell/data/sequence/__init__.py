"""What the neurons of a run believe along its probe sequence, ready for the page. No widgets here."""

from __future__ import annotations

from pages.shell.data.sequence.associations import (
    SIGNIFICANT,
    Followed,
    feature_rows,
    followed,
    followers,
    most_followed,
    telling_feature,
)
from pages.shell.data.sequence.beliefs import (
    QUANTITIES,
    RANKED,
    LayerPath,
    first_neuron,
    memories,
    moved,
    named_rows,
    passes_by,
    paths,
    remembered,
    standard_gaussian,
    stored_step,
    total_kl,
)
from pages.shell.data.sequence.contents import features, labels, marks, positions, shares, sign, token_colors
from pages.shell.data.sequence.neuron_map import SORTS, map_payload
from pages.shell.data.sequence.numbers import card_numbers, test_numbers
from pages.shell.data.sequence.surprise import (
    draw_information,
    likeliest,
    likely_notes,
    most_telling,
    predictions,
    second_surprise,
    surprise_correlation,
)

__all__ = [
    "Followed",
    "LayerPath",
    "QUANTITIES",
    "RANKED",
    "SIGNIFICANT",
    "SORTS",
    "card_numbers",
    "draw_information",
    "feature_rows",
    "features",
    "first_neuron",
    "followed",
    "followers",
    "labels",
    "likeliest",
    "likely_notes",
    "map_payload",
    "marks",
    "memories",
    "most_followed",
    "most_telling",
    "moved",
    "named_rows",
    "passes_by",
    "paths",
    "positions",
    "predictions",
    "remembered",
    "second_surprise",
    "shares",
    "sign",
    "standard_gaussian",
    "stored_step",
    "surprise_correlation",
    "telling_feature",
    "test_numbers",
    "token_colors",
    "total_kl",
]
