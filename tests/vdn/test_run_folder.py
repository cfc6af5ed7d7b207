"""Where a new run lies: a readable name that any file system takes, never a folder that is there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vdn.config import Config, ConfigError
from vdn.run_folder import NAME_BYTES, free_folder, new_folder, readable_name

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def test_a_name_says_what_with_what_and_when():
    config = Config(layers=2, neurons=16, beta=0.02, seed=3)
    assert readable_name(config, NOON) == "nyc-2x16-beta0.02-seed3-20261123-120000"
    twin = Config(data="csv:/data/load curve.csv", layers=2, neurons=16, twin=True)
    assert readable_name(twin, NOON) == "load curve-2x16-twin-seed0-20261123-120000"


@pytest.mark.parametrize("stem", ["a:b", "tab\there", "é" * 100, "\U0001f321" * 60])
def test_the_datas_part_of_a_name_is_one_that_file_systems_take(stem):
    data = readable_name(Config(data=f"csv:{stem}.csv", beta=0.1), NOON).removesuffix(
        "-3x256-beta0.1-seed0-20261123-120000"
    )
    assert data
    assert len(data.encode()) <= NAME_BYTES
    assert not {":", "/", "\t"} & set(data)


def test_a_folder_that_is_there_is_never_taken(tmp_path):
    config = Config(beta=0.1)
    full, empty = tmp_path / "full", tmp_path / "empty"
    empty.mkdir()
    full.mkdir()
    (full / "notes.txt").touch()
    with pytest.raises(ConfigError, match="full is not empty; give a new folder"):
        new_folder(config, full, tmp_path)
    with pytest.raises(ConfigError, match="is not empty"):
        new_folder(config, full / "notes.txt", tmp_path)
    assert new_folder(config, empty, tmp_path) == empty
    assert free_folder(full) == tmp_path / "full-2"
    (tmp_path / "full-2").mkdir()
    assert free_folder(full) == tmp_path / "full-3"
    made = new_folder(config, None, tmp_path)
    assert made.parent == tmp_path
    assert not made.exists()
    assert free_folder(Path(made)) == made
