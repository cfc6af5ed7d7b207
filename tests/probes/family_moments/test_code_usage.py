"""Usage of a code book over a window of steps: whatever the batch, and codes that die and come back."""

from __future__ import annotations

import math

import pytest
import torch

from probes import schema
from probes.family_moments import CodeUsage


def test_usage_does_not_depend_on_the_size_of_a_batch():
    """Perplexity of single batches of 8 and 512 picks differs by a factor; of one window's it does not."""
    picks = torch.randint(0, 64, (512 * 16,), generator=torch.Generator().manual_seed(0))
    whole = CodeUsage(64, 1024).update(picks).statistics()
    for size in (8, 512):
        book = CodeUsage(64, 1024)
        for part in picks.split(size):
            book.update(part.reshape(-1, 2, 2))
        found = book.statistics()
        for name, value in whole.items():
            assert torch.equal(found[name], value), name
    assert CodeUsage(64).update(picks[:8]).statistics()["perplexity"] <= 8


def test_numbers_are_those_of_the_window():
    found = CodeUsage(4).update(torch.tensor([[0, 0], [1, 2]])).statistics()
    assert found["usage"].tolist() == [0.5, 0.25, 0.25, 0]
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    torch.testing.assert_close(found["information"].sum(), torch.tensor(entropy))
    torch.testing.assert_close(found["perplexity"], torch.tensor(math.exp(entropy)))
    assert (found["dead_codes"], found["window"]) == (1, 4)
    assert found.keys() <= schema.STATISTICS.keys() | schema.LAYER_STATISTICS.keys()


@pytest.mark.parametrize("window", [1, 7, 64, 100, 1024])
def test_a_code_dies_when_the_window_has_left_it_and_comes_back_when_it_is_picked(window):
    book = CodeUsage(3, window)
    book.update(torch.tensor([0, 1, 2]))
    for step in range(window):
        assert book.statistics()["usage"][2] > 0, step
        if step < window - window // 16:
            book.update(torch.tensor([0, 1]))
        else:
            break
    for _ in range(window + 1):
        book.update(torch.tensor([0, 1]))
    found = book.statistics()
    assert (found["usage"][2], found["dead_codes"]) == (0, 1)
    assert window - window // 32 <= found["window"] / 2 <= window
    book.update(torch.tensor([0, 1, 2]))
    assert book.statistics()["dead_codes"] == 0


def test_masked_and_negative_indices_are_no_picks():
    indices = torch.tensor([[0, 1], [-1, 2], [3, 3]])
    found = CodeUsage(4).update(indices, torch.tensor([True, True, False])).statistics()
    assert found["window"] == 3
    assert found["usage"][3] == 0
    none = CodeUsage(4).update(torch.tensor([-1])).statistics()
    assert none["usage"].isnan().all()
    assert none["dead_codes"].isnan()


def test_a_checkpoint_goes_on_where_it_was():
    generator = torch.Generator().manual_seed(0)
    book = CodeUsage(8, 128)
    for _ in range(133):
        book.update(torch.randint(0, 8, (5,), generator=generator))
    other = CodeUsage(8, 128).restore(book.state())
    for _ in range(70):
        picks = torch.randint(0, 8, (5,), generator=generator)
        book.update(picks)
        other.update(picks)
    for name, value in book.statistics().items():
        assert torch.equal(other.statistics()[name], value), name
    with pytest.raises(ValueError, match="is not one of"):
        CodeUsage(8, 64).restore(book.state())
    assert (
        CodeUsage(8, 128).restore(CodeUsage(8, 128).state()).update(torch.tensor([1])).statistics()["window"]
        == 1
    )


def test_a_restored_window_does_not_change_what_it_was_taken_from():
    book = CodeUsage(2).update(torch.tensor([0]))
    state = book.state()
    book.update(torch.tensor([1]))
    assert CodeUsage(2).restore(state).statistics()["usage"].tolist() == [1, 0]


def test_memory_is_bounded_by_the_window():
    book = CodeUsage(16, 1024)
    for _ in range(3000):
        book.update(torch.tensor([3]))
    assert book.state()["blocks"].numel() <= 64 * 18


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="whole numbers"):
        CodeUsage(4).update(torch.tensor([0.5]))
    with pytest.raises(ValueError, match="beyond a code book of 4"):
        CodeUsage(4).update(torch.tensor([4])).statistics()
    with pytest.raises(ValueError, match="not 0 and 3"):
        CodeUsage(0, 3)
    with pytest.raises(ValueError, match="update first"):
        CodeUsage(4).statistics()


@pytest.mark.parametrize("window", [1, 7, 100, 1024])
def test_workers_are_merged_as_one_that_saw_all_picks(window):
    """At the same steps, past the window's end and within a block; and where one has stopped earlier."""
    generator = torch.Generator().manual_seed(0)
    for lag in (0, 1, 40, 2000):
        whole, mine, theirs = (CodeUsage(8, window) for _ in range(3))
        for step in range(1300):
            picks = torch.randint(0, 8, (2, 5), generator=generator)
            late = step >= 1300 - lag
            whole.update(picks[0] if late else picks)
            mine.update(picks[0])
            if not late:
                theirs.update(picks[1])
        restored = CodeUsage(8, window).restore(theirs.state())
        for one, other in ((mine, restored), (theirs, mine)):  # the second: what lags takes up the other
            state = one.state()
            assert torch.equal(one.merge(other).counts(), whole.counts()), (lag, window)
            one.restore(state)
        more = torch.arange(8)
        assert torch.equal(mine.merge(theirs).update(more).counts(), whole.update(more).counts())


def test_another_book_is_not_merged():
    book = CodeUsage(8, 100).update(torch.arange(8))
    with pytest.raises(ValueError, match="9 codes over 100 steps is not one of 8 over 100"):
        book.merge(CodeUsage(9, 100))
    with pytest.raises(ValueError, match="is not one of"):
        book.merge(CodeUsage(8, 64))
    taken = CodeUsage(8, 100).merge(book).merge(CodeUsage(8, 100))
    assert torch.equal(taken.counts(), book.counts())
    taken.update(torch.arange(8)).update(torch.arange(8))
    assert int(book.counts().sum()) == 8, "what was merged from stays as it was"
