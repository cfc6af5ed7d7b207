"""Random programs of a recorder: what is read, at any time, is what was recorded. PROGRAMS sets how many, and
PROGRAMS_SEED which; `tests/probes/programs.py` runs more.
"""

import os

import programs
import pytest

COUNT = int(os.environ.get("PROGRAMS", "10"))
FIRST = int(os.environ.get("PROGRAMS_SEED", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_what_is_read_is_what_was_recorded(seed):
    programs.run(seed)


def test_a_program_meets_a_row_that_was_lost(monkeypatch):
    """Were a recorder to forget a step in silence, its programs would say so."""
    add = programs.Background.add_chunk
    monkeypatch.setattr(
        programs.Background,
        "add_chunk",
        lambda buffer, chunk: add(buffer, chunk) if chunk.steps[0] % 5 or chunk.steps.size > 1 else None,
    )
    with pytest.raises((AssertionError, KeyError)):
        programs.run(0)
