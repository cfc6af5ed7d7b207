"""Which level of the pyramid answers, what it gives where it is not written yet, and merged columns."""

import numpy as np
import pytest
from log_blocks import block, code, write_segment

from probes.errors import RunError
from probes.log import levels
from probes.log.blocks import REGIME, buckets, write_layers
from probes.log.levels import ALL_STEPS, Levels, bucket_columns, merge
from probes.log.segments import Segment
from probes.storage.local import LocalStorage


@pytest.fixture
def folder(tmp_path):
    """A block of 256 steps with its pyramid, and 40 more steps without."""
    whole = block(0, range(256), 3)
    write_segment(tmp_path / "neurons", [whole])
    write_segment(tmp_path / "neurons", [block(0, range(256, 296), 3)])
    for width in (16, 256):
        path = f"pyramid/{width}/{Segment(0, 255).name}"
        write_layers(LocalStorage(tmp_path), path, [buckets(whole, width)], "full")
    return tmp_path


@pytest.fixture
def pyramid(folder):
    found = Levels(LocalStorage(folder), [3])
    found.refresh()
    return found


RECORDED = np.arange(296)


@pytest.mark.parametrize(
    ("points", "width"),
    [(296, 1), (297, 1), (20, 1), (19, 16), (3, 16), (2, 256), (1, 256)],
)
def test_the_coarsest_level_that_gives_so_many_points(pyramid, points, width):
    """16 buckets of 16 and three more of the last 40 steps (16, 16, 8): 19; of 256 one and one."""
    assert pyramid.width_of_at_least(0, RECORDED, *ALL_STEPS, points) == width


@pytest.mark.parametrize(
    ("first", "last", "points", "width"), [(0, 255, 16, 16), (0, 255, 17, 1), (5, 20, 2, 16), (5, 20, 3, 1)]
)
def test_points_are_those_of_the_range(pyramid, first, last, points, width):
    """Steps 5 to 20 lie in two buckets of 16."""
    assert pyramid.width_of_at_least(0, RECORDED, first, last, points) == width


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        (296, 1),
        (295, 1),  # 19 buckets would leave more than half unused, and raw steps are quickly read
        (38, 1),  # 19 of 38 columns: half unused
        (37, 16),
        (19, 16),
        (18, 16),  # two of 256 would leave more than half unused
        (4, 16),
        (3, 256),
        (2, 256),
        (1, 256),  # the coarsest where none fits
    ],
)
def test_the_level_of_an_image(pyramid, columns, width):
    assert pyramid.width_for(0, RECORDED, *ALL_STEPS, columns, 3) == width


def test_an_image_is_not_filled_better_at_any_price(pyramid, monkeypatch):
    monkeypatch.setattr(levels, "MAX_FINER_CELLS", 296 * 3)
    assert pyramid.width_for(0, RECORDED, *ALL_STEPS, 295, 3) == 1
    monkeypatch.setattr(levels, "MAX_FINER_CELLS", 296 * 3 - 1)
    assert pyramid.width_for(0, RECORDED, *ALL_STEPS, 295, 3) == 16


def test_raw_steps_stand_for_their_own_extremes(pyramid):
    found = pyramid.read(1, 0, np.array([2]), ["kl_min", "kl", "kl_max"], 254, 257)
    assert found.steps.tolist() == [254, 255, 256, 257]
    for name in ("kl_min", "kl", "kl_max"):
        assert found.columns[name].tolist() == [[code(0, 2, s) for s in (254, 255, 256, 257)]]


def test_what_is_not_written_yet_is_computed_from_raw_rows(pyramid):
    found = pyramid.read(16, 0, np.array([1]), ["kl", "kl_min", "kl_max", REGIME], *ALL_STEPS)
    starts = [*range(0, 256, 16), 256, 272, 288]
    assert found.steps.tolist() == starts
    ends = [*(start + 15 for start in starts[:-1]), 295]
    assert found.columns["kl_min"].tolist() == [[code(0, 1, start) for start in starts]]
    assert found.columns["kl_max"].tolist() == [[code(0, 1, end) for end in ends]]
    np.testing.assert_allclose(
        found.columns["kl"], [[code(0, 1, (s + e) / 2) for s, e in zip(starts, ends, strict=True)]]
    )
    assert found.columns[REGIME].tolist() == [[9] * 19]  # of the last step, which is odd


def test_buckets_that_overlap_the_range_are_whole(pyramid):
    found = pyramid.read(16, 0, np.array([0]), ["kl_min", "kl_max"], 20, 40)
    assert found.steps.tolist() == [16, 32]
    assert found.columns["kl_max"].tolist() == [[code(0, 0, 31), code(0, 0, 47)]]


def test_ranges_that_a_derived_folder_lacks(pyramid):
    assert pyramid.uncovered([]) == [(0, 255), (256, 295)]
    assert pyramid.uncovered(pyramid.raw.segments[:1]) == [(256, 295)]


def test_a_pyramid_that_is_a_link_is_refused(folder, tmp_path):
    (folder / "pyramid").rename(tmp_path / "elsewhere")
    (folder / "pyramid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        Levels(LocalStorage(folder), [3]).refresh()


def test_a_folder_is_listed_once_and_not_where_it_was_already(folder, pyramid, monkeypatch):
    """In a store each listing is a request."""
    listing, asked = LocalStorage(folder).listed(), []
    monkeypatch.setattr(LocalStorage, "listed", lambda storage: asked.append(storage) or listing)
    pyramid.refresh(listing)
    assert asked == []
    pyramid.refresh()
    assert len(asked) == 1


def test_a_snapshot_brings_no_later_step_when_it_is_refreshed(folder, pyramid):
    fixed = pyramid.snapshot()
    write_segment(folder / "neurons", [block(0, range(296, 300), 3)])
    for found in (pyramid, fixed):
        found.refresh()
    read = [found.read(1, 0, np.array([0]), ["kl"], 294, 400).steps.tolist() for found in (pyramid, fixed)]
    assert read == [[294, 295, 296, 297, 298, 299], [294, 295]]


def test_kinds_of_a_statistic():
    assert bucket_columns("kl") == ["kl", "kl_min", "kl_max"]
    assert bucket_columns(REGIME) == [REGIME]


VALUES = np.float32([[1, 2, 6, 10, 4], [5, np.nan, 1, 1, 2]])
STARTS = np.array([0, 10, 20, 30, 40])


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("min", [[1, 6, 4], [5, 1, 2]]),
        ("max", [[2, 10, 4], [5, 1, 2]]),
        ("last", [[2, 10, 4], [np.nan, 1, 2]]),
    ],
)
def test_columns_are_merged(reduce, expected):
    values, starts = merge(VALUES, STARTS, 2, reduce, np.arange(50))
    np.testing.assert_array_equal(values, np.float32(expected))
    assert starts.tolist() == [0, 20, 40]


def test_means_are_weighted_by_the_steps_at_which_the_statistic_was_taken():
    """Three steps in the first column, one in the second, none in the fourth, two in the last."""
    values, _ = merge(VALUES[:1], STARTS, 2, "mean", np.array([0, 3, 9, 12, 20, 41, 44]))
    np.testing.assert_allclose(values, [[(3 * 1 + 1 * 2) / 4, 6, 4]])
    assert values.dtype == np.float32


def test_a_mean_of_nothing_is_nan_and_a_broken_one_spreads():
    values, _ = merge(VALUES, STARTS, 2, "mean", np.array([0, 10, 40]))
    np.testing.assert_array_equal(np.isnan(values), [[False, True, False], [True, True, False]])


def test_one_group_may_take_all():
    values, starts = merge(VALUES[:1], STARTS, 9, "mean", np.arange(50))
    np.testing.assert_allclose(values, [[4.6]])
    assert starts.tolist() == [0]
