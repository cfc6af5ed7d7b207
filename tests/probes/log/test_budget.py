"""`max_gb`: the weight is said at the start, and fewer steps are recorded before the size is exceeded."""

import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest

import probes
from probes.log.budget import Budget, table_bytes
from probes.log.check import check
from probes.log.segments import Segment
from probes.recorder import Recorder
from probes.storage.local import LocalStorage

NEURONS = 64
LAYERS = [{"name": name, "neurons": NEURONS} for name in "ab"]


def fill(path, steps, config=None, max_gb=0.002, layers=LAYERS, **options):
    """Numbers that hardly compress, 3 statistics a neuron: about 0.7 kB a layer and step."""
    random = np.random.default_rng(0)
    with Recorder(path, layers, config, max_gb=max_gb, **options) as recorder:
        for step in steps:
            for layer in range(len(layers)):
                mean, variance, kl = random.random((3, NEURONS))
                recorder.record(step, layer, mean=mean, variance=variance, kl=kl)
    return probes.Run(path), table_bytes(LocalStorage(path))


@pytest.mark.parametrize("config", [None, {"steps": 4000}, {"steps": 100}], ids=["unknown", "known", "wrong"])
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_stays_below_its_size_with_all_layers_at_the_same_steps(tmp_path, config, every):
    run, size = fill(tmp_path / "run", range(4000), config, every=every, flush_steps=50)
    assert 0.4 * 2e6 < size < 2e6  # unthinned: 5.6 MB, and 1.9 MB of every third step
    assert run.steps[0] == 0
    assert run.steps[-1] == 3999
    assert run.history("a", 0)["step"].tolist() == run.history("b", 0)["step"].tolist() == run.steps.tolist()
    assert (run.steps[:-1] % every == 0).all()
    assert check(tmp_path / "run") == []


def test_with_a_known_number_of_steps_they_are_thinned_evenly_from_the_start(tmp_path):
    run, _ = fill(tmp_path / "run", range(4000), {"steps": 4000})
    gaps = np.diff(run.steps[:-1])
    assert gaps.min() == gaps.max() == 4
    weight, thinned = run.events()["text"]
    assert "128 neurons with 3 statistics take about 1.64 kB a recorded step; with 4,000 steps" in weight
    assert "every one recorded, the run will weigh about 6.56 MB" in weight
    assert thinned.startswith("from step 1 on one step in 4 is recorded")
    assert run.events()["kind"].tolist() == ["budget", "budget"]


def test_without_it_the_gaps_double_and_each_doubling_is_said_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "probes.recorder"):
        run, _ = fill(tmp_path / "run", range(4000), layers=LAYERS[:1], max_gb=0.001)
    gaps = np.diff(run.steps[:-1])
    assert gaps[0] == 1
    assert (np.diff(gaps[gaps < 2 * np.roll(gaps, 1)]) >= 0).all()
    events = run.events()
    assert len(events) >= 3
    assert "max_gb=0.001 holds about" in events["text"][0]
    doubled = [int(text.split("one step in ")[1].split()[0]) for text in events["text"][1:]]
    assert doubled == [2 ** (index + 1) for index in range(len(doubled))]
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == events["text"].tolist()


@pytest.mark.parametrize("start", [0, 1007])
def test_steps_far_apart_and_off_any_multiple_are_thinned_by_half(tmp_path, start):
    run, size = fill(tmp_path / "run", range(start, start + 4000 * 10, 10), {"steps": start + 40000})
    assert size < 2e6
    gaps = np.diff(run.steps[:-1])
    assert gaps.min() == gaps.max() == 40


def test_blocks_of_steps_are_thinned_too(tmp_path):
    random = np.random.default_rng(0)
    with Recorder(tmp_path / "run", LAYERS, max_gb=0.002) as recorder:
        for start in range(0, 4000, 50):
            for layer in (0, 1):
                values = random.random((3, 50, NEURONS))
                block = dict(zip(("mean", "variance", "kl"), values, strict=True))
                recorder.record_block(np.arange(start, start + 50), layer, block)
    run = probes.Run(tmp_path / "run")
    assert table_bytes(LocalStorage(tmp_path / "run")) < 2e6
    assert run.history("a", 0)["step"].tolist() == run.history("b", 0)["step"].tolist() == run.steps.tolist()
    assert run.steps[-1] == 3999
    said = re.findall(r"from step (\d+) on one step in (\d+)", " ".join(run.events()["text"]))
    thinned = [(int(first), int(spacing)) for first, spacing in said]
    for (first, spacing), (end, _) in zip(thinned, [*thinned[1:], (3999, 1)], strict=True):
        kept = run.steps[(run.steps >= first) & (run.steps < end)]
        assert (np.diff(kept // spacing) > 0).all(), "one at most of so many, across blocks too"


def test_a_loop_that_asks_computes_nothing_in_vain(tmp_path):
    asked = []
    with Recorder(tmp_path / "run", LAYERS[:1], {"steps": 3000}, max_gb=0.0005) as recorder:
        for step in range(3000):
            if recorder.due(step):
                asked.append(step)
                recorder.record(step, 0, mean=np.zeros(NEURONS), kl=np.ones(NEURONS))
    run = probes.Run(tmp_path / "run")
    assert set(run.steps) <= set(asked)
    assert len(asked) - run.steps.size < len(run.events())  # the step at which a gap doubles was asked for
    assert run.steps.size < 1600


def test_a_size_that_is_not_reached_changes_nothing_and_is_said(tmp_path):
    run, _ = fill(tmp_path / "run", range(300), {"steps": 300}, max_gb=1)
    assert run.steps.tolist() == list(range(300))
    [text] = run.events()["text"]
    assert "will weigh about 491 kB" in text


def test_a_resumed_run_counts_what_is_there(tmp_path):
    _, before = fill(tmp_path / "run", range(500), max_gb=None)
    limit = 1.3 * before / 1e9
    random = np.random.default_rng(1)
    with Recorder.resume(tmp_path / "run", 499, max_gb=limit) as recorder:
        for step in range(500, 3000):
            for layer in (0, 1):
                mean, variance, kl = random.random((3, NEURONS))
                recorder.record(step, layer, mean=mean, variance=variance, kl=kl)
    assert table_bytes(LocalStorage(tmp_path / "run")) < limit * 1e9
    assert probes.Run(tmp_path / "run").steps.size > 550


def test_what_else_is_recorded_is_not_thinned_and_said_when_it_is_too_much(tmp_path):
    with Recorder(tmp_path / "run", LAYERS[:1], max_gb=0.0001) as recorder:
        for step in range(2000):
            recorder.record(step, 0, mean=np.zeros(NEURONS))
            recorder.probe(step, 0, np.random.default_rng(step).random((4, NEURONS)), np.ones((4, NEURONS)))
            if step % 200 == 0:
                recorder.flush()
    run = probes.Run(tmp_path / "run")
    assert run.probe_steps().size == 2000
    assert sum("is exceeded" in text for text in run.events()["text"]) == 1


@pytest.mark.parametrize("max_gb", [0, -1, float("nan"), float("inf"), "1", None, [1]])
def test_a_size_is_a_positive_number(tmp_path, max_gb):
    if max_gb is None:
        Recorder(tmp_path / "run", LAYERS, max_gb=None).close()
        return
    with pytest.raises(ValueError, match="max_gb is"):
        Recorder(tmp_path / "run", LAYERS, max_gb=max_gb)
    assert not (tmp_path / "run").exists()


class Files:
    """A storage of which only the sizes are asked: `size` bytes in one file of `neurons/`."""

    def __init__(self, size=0):
        self.size = size

    def entries(self, table):
        whole, part = Segment(0, 9).name, Segment(0, 4).name
        return [SimpleNamespace(name=whole, size=self.size), SimpleNamespace(name=part, size=10**9),
                SimpleNamespace(name="notes.txt", size=10**9)] if table == "neurons" else []  # fmt: skip


def budget(limit, config=None, count=0, precision="full", every=1, files=None):
    state = {"layers": [{"neurons": 92}], "precision": precision, "steps": {"count": count}, "config": config}
    return Budget(limit, every, files or Files(), state)


ONE = [np.array([0]), ["kl"]]  # (92 + 8) numbers a step: 380 bytes


def test_only_files_that_count_are_weighed():
    assert table_bytes(Files(700)) == 700


def test_before_a_step_is_recorded_there_is_nothing_to_say():
    assert budget(1e6).review(0) == []


@pytest.mark.parametrize(
    ("config", "precision", "said"),
    [
        ({"steps": 1001}, "full", "take about 0.38 kB a recorded step; with 1,001 steps, every one recorded,"
         " the run will weigh about 380 kB"),
        ({"steps": 1001}, "10bit", "0.2 kB a recorded step; with 1,001 steps, every one recorded, the run"
         " will weigh about 200 kB"),
        ({"steps": 2}, "full", "the run will weigh about 0.38 kB"),
        (None, "full", "0.38 kB a recorded step: max_gb=0.01 holds about 26,315 of them"),
        ({"steps": True}, "full", "holds about 26,315 of them"),
        ({"steps": 0}, "full", "holds about 26,315 of them"),
        ({"steps": 100.0}, "full", "holds about 26,315 of them"),
    ],
)  # fmt: skip
def test_the_weight_is_said_once_and_as_it_is_expected(config, precision, said):
    found = budget(1e7, config, precision=precision)
    found.note(0, *ONE)
    [text] = found.review(1)
    assert text.startswith("92 neurons with 1 statistics ")
    assert said in text
    found.note(0, np.array([1]), ["kl"])
    assert found.review(2) == []


def test_the_weight_of_every_third_step_and_of_what_is_on_the_disk():
    found = budget(1e9, {"steps": 3001}, every=3, files=Files(1_000_000))
    found.note(0, *ONE)
    [text] = found.review(3)
    assert text.endswith("one in 3 recorded, the run will weigh about 1.38 MB")
    open_end = budget(1e7, every=3, files=Files(6_200_000))
    open_end.note(0, *ONE)
    assert "holds about 10,000 of them" in open_end.review(3)[0]


def test_with_a_known_end_the_spacing_is_the_least_that_fits():
    """1,000 steps of 380 bytes in 95 % of 150,000: one in 4 takes 95,380 and one in 2 190,190."""
    found = budget(150_000, {"steps": 1001})
    found.note(0, *ONE)
    _, thinned = found.review(1)
    assert thinned == (
        "from step 1 on one step in 4 is recorded, at most: about 0.52 kB of max_gb=0.00015 are used"
    )
    assert [step for step in range(1, 13) if found.due(step)] == list(range(4, 13))
    assert found.mask(0, np.arange(1, 13)).tolist() == [step in (4, 8, 12) for step in range(1, 13)]
    found.note(0, np.array([4]), ["kl"])
    assert found.due(4), "a layer more of the newest step"
    assert [step for step in range(5, 13) if found.due(step)] == list(range(8, 13))


@pytest.mark.parametrize(("limit", "spacing"), [(400_399, 2), (400_401, 1)])
def test_a_size_is_planned_to_its_share(limit, spacing):
    """380 x (1 + 1,000) bytes are 95 % of 400,400: a byte more or less."""
    found = budget(limit, {"steps": 1001})
    found.note(0, *ONE)
    found.review(1)
    assert found.spacing == spacing


def test_without_an_end_half_of_what_is_left_is_used_before_each_doubling():
    """Steps of 520 bytes at most, in 95 % of 10,400: after 4,940, ten steps at once, one in two."""
    found = budget(10_400)
    doubled = []
    for step in range(40):
        if found.review(step)[1 if step == 1 else 0 :]:
            doubled.append((step, found.spacing))
        if found.mask(0, np.array([step]))[0]:
            found.note(0, np.array([step]), ["kl"])
    assert doubled[0] == (10, 2)
    assert [spacing for _, spacing in doubled] == [2 ** (place + 1) for place in range(len(doubled))]


def test_what_is_on_the_disk_counts_by_itself_after_sixty_four_steps():
    """Steps that take 100 bytes there and not the 380 that are typical."""
    for written, each in ((63, 380), (64, 100)):
        files = Files()
        found = budget(1e9, {"steps": 2001}, files=files)
        for step in range(300):
            found.note(0, np.array([step]), ["kl"])
        found._state["steps"]["count"] = written
        files.size = 100 * written
        found._looked = -(10**6)  # it is time to look again
        [text] = found.review(300)
        assert f"take about {each / 1000:g} kB a recorded step" in text


def test_too_much_beside_the_neurons_is_said_once():
    files = Files(1001)
    found = budget(1000.0, {"steps": 10}, files=files)
    found.note(0, *ONE)
    said = found.review(1)
    assert said[-1] == (
        "max_gb=1e-06 is exceeded, with 1 kB: what is recorded beside the neurons is not thinned"
    )
    assert not [text for text in found.review(2) if "exceeded" in text]
    within = budget(1000.0, {"steps": 10}, files=Files(1000))
    within.note(0, *ONE)
    assert not [text for text in within.review(1) if "exceeded" in text]


def test_steps_of_a_layer_are_thinned_by_what_was_kept_of_it():
    found = budget(1e9)
    found.spacing = 10
    assert found.mask(0, np.array([3, 9, 10, 11, 25])).tolist() == [True, False, True, False, True]
    found.note(0, np.array([3, 10, 25]), ["kl", "mean"])
    assert found.mask(0, np.array([26, 29, 30])).tolist() == [False, False, True]
    assert not found.due(29)
    assert found.due(30)
