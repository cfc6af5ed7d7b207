"""Random trainings, watched and not. TRAININGS sets how many, TRAININGS_SEED which."""

import os

import pytest

from tests.probes.watching import training_programs

COUNT = int(os.environ.get("TRAININGS", "8"))
FIRST = int(os.environ.get("TRAININGS_SEED", "10"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_watching_changes_no_bit_of_a_training_and_logs_its_kl(seed):
    training_programs.run(seed)
