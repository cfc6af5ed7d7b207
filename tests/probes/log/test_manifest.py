"""run.json: made, written, read, refused; its row of the catalog; one writer a run."""

import json
import math
import os
import time

import numpy as np
import pyarrow as pa
import pytest

from probes.errors import RunError
from probes.log import manifest
from probes.log.config import plain
from probes.storage.local import LocalStorage
from probes.storage.lock import Lock

LAYERS = [{"name": "a", "neurons": 2}, {"name": "b", "neurons": 4}]


def new(**config):
    return manifest.new("run", manifest.check_layers([dict(layer) for layer in LAYERS]), config, "full")


def test_a_layer_of_an_unknown_family_is_refused_before_training():
    with pytest.raises(ValueError, match="layer 'z' is of the family 'cauchy'; known are .*'gaussian'"):
        manifest.check_layers([{"name": "z", "neurons": 3, "family": "cauchy"}])
    assert (
        manifest.check_layers([{"name": "z", "neurons": 3, "family": "gaussian"}])[0]["family"] == "gaussian"
    )


def test_layers_get_what_they_do_not_say_and_keep_what_they_say_more():
    checked = manifest.check_layers(
        [{"name": "a", "neurons": 3.0, "of": "weights"}, {"name": "b", "neurons": 1, "latent_dim": 4}]
    )
    assert checked == [
        {"name": "a", "neurons": 3, "latent_dim": 1, "prior": "standard", "of": "weights"},
        {"name": "b", "neurons": 1, "latent_dim": 4, "prior": "standard"},
    ]
    assert isinstance(checked[0]["neurons"], int)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([], "at least one layer"),
        (["a"], "layer 0 is 'a'; it must be a dict"),
        ([{"name": "a"}], "with 'name' and 'neurons'"),
        ([{"name": "a", "neurons": 0}], "neurons is 0; it must be an integer of at least 1"),
        ([{"name": "a", "neurons": 1.5}], "neurons is 1.5"),
        ([{"name": "a", "neurons": 1, "latent_dim": -1}], "latent_dim is -1"),
        ([{"name": "a", "neurons": 1}] * 2, "layer names must differ"),
    ],
)
def test_layers_that_cannot_be_are_refused(layers, words):
    with pytest.raises(ValueError, match=words):
        manifest.check_layers(layers)


def test_plain_values_are_strict_json():
    value = {
        1: np.float32(0.5),
        "a": np.array([1, 2]),
        "b": (math.nan, math.inf, None),
        "c": {"d": np.int64(3)},
        "e": {2},
        "f": True,
    }
    found = plain(value)
    assert found == {"1": 0.5, "a": [1, 2], "b": [None, None, None], "c": {"d": 3}, "e": "{2}", "f": True}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert type(found["c"]["d"]) is int


def test_a_group_is_the_config_without_its_seed():
    assert manifest.group_of({"seed": 1, "a": 2, "b": 3}) == manifest.group_of({"b": 3, "a": 2, "seed": 9})
    assert manifest.group_of({"seed": 1, "a": 2}) != manifest.group_of({"seed": 1, "a": 3})
    assert manifest.group_of({"a": {"seed": 1}}) != manifest.group_of({"a": {"seed": 2}})


def test_what_is_written_is_read_with_a_fresh_heartbeat(tmp_path):
    state = new(seed=np.int64(3), rate=math.inf, name="µ") | {"heartbeat": 0.0}
    before = time.time()
    manifest.write(tmp_path, state)
    found = manifest.read(LocalStorage(tmp_path))
    assert before <= found["heartbeat"] <= time.time()
    assert found["seed"] == 3
    assert found["config"] == {"seed": 3, "rate": None, "name": "µ"}
    assert found["living_share"] == [None, None]
    assert found["steps"] == {"count": 0, "first": None, "last": None}
    assert found == plain(state)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert len((tmp_path / "run.json").read_text().splitlines()) == len(state)  # a field a line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not readable as JSON"),
        ("[]", "names no format version"),
        ('{"format": 1.1, "layers": []}', "names no format version"),
        ('{"format": "x.1"}', "names no format version"),
        ('{"format": "2.0"}', "has format 2.0, this reader knows 1.2: update the package"),
        ('{"format": "1.0"}', "at least one layer"),
        ('{"format": "1.0", "layers": 3}', "run.json"),
        ('{"format": "1.0", "layers": [{"name": "a", "neurons": 1e999}]}', "run.json"),
        (
            '{"format": "1.0", "layers": [{"name": "a", "neurons": 1}], "status": "done"}',
            "`status` is 'done'.*by hand",
        ),
    ],
)
def test_what_is_no_manifest(text, words):
    with pytest.raises(RunError, match=words):
        manifest.parse(text, "RUN")


def test_a_newer_minor_version_is_read_and_its_fields_stay():
    found = manifest.parse(
        '{"format": "1.99", "layers": [{"name": "a", "neurons": 1}], "unheard": [1]}', "RUN"
    )
    assert found["unheard"] == [1]
    assert found["layers"] == [{"name": "a", "neurons": 1, "latent_dim": 1, "prior": "standard"}]


def test_a_folder_without_a_manifest_holds_no_run(tmp_path):
    with pytest.raises(RunError, match=r"holds no run: there is no run\.json in it"):
        manifest.read(LocalStorage(tmp_path))
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError, match="json in it$"):
        manifest.read(LocalStorage(tmp_path))
    (tmp_path / "run" / manifest.FILE).touch()
    with pytest.raises(RunError, match="it is a folder of runs: name one of them, such as .*/run$"):
        manifest.read(LocalStorage(tmp_path))
    with pytest.raises(RunError, match="in it, it is empty or not there$"):
        manifest.read(LocalStorage(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("said", "age", "status"),
    [
        ("running", 0, "running"),
        ("running", 29, "running"),
        ("running", 31, "crashed"),
        ("running", -29, "running"),
        ("running", -31, "crashed"),
        ("running", None, "crashed"),
        ("finished", 1e9, "finished"),
        ("interrupted", 0, "interrupted"),
        (None, 0, "crashed"),
    ],
)
def test_status_by_the_age_of_the_heartbeat(said, age, status, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    state = {"heartbeat": None if age is None else 1e9 - age}
    assert manifest.status(state | ({} if said is None else {"status": said})) == status


@pytest.mark.parametrize(("age", "status"), [(209, "running"), (210, "crashed"), (-209, "running")])
def test_in_a_store_three_rounds_of_its_mirror_may_be_missed(age, status, monkeypatch):
    """30 s and 3 x 60 s."""
    monkeypatch.setattr(time, "time", lambda: 1e9)
    state = {"status": "running", "heartbeat": 1e9 - age, "mirror_seconds": 60}
    assert manifest.status(state) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (KeyboardInterrupt, "interrupted"),
        (SystemExit, "interrupted"),
        (ValueError, "crashed"),
        (MemoryError, "crashed"),
        (GeneratorExit, "crashed"),
    ],
)
def test_final_status(error, status):
    assert manifest.final_status(error) == status


def test_layers_may_take_half_of_a_manifest(monkeypatch):
    """The rest is left to what comes while training goes on."""
    monkeypatch.setattr(time, "time", lambda: 1e9)
    size = len(manifest.text(new() | {"config": {}}))
    monkeypatch.setattr(manifest, "JSON_BYTES", 2 * size)
    new(about="a configuration is counted elsewhere")
    monkeypatch.setattr(manifest, "JSON_BYTES", 2 * (size - 1))
    with pytest.raises(ValueError, match=r"the layers take 0\.0 MB in run\.json.*in fewer words"):
        new()


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 500, 10_000])
def test_a_sparkline_is_short_even_and_keeps_both_ends(count):
    series = []
    for step in range(count):
        manifest.add_point(series, step, 7.0 - 1e6 * step)
    steps = [step for step, _ in series]
    assert steps[0] == 0
    assert steps[-1] == count - 1
    assert [value for _, value in series] == [7.0 - 1e6 * step for step in steps]
    assert len(series) <= 33
    assert len(series) >= min(count, 16)
    assert max(np.diff(steps), default=0) <= max(1, count / 6)  # "about" evenly: 1 / 32 were exactly so


def layers_table(rows):
    """A table of `layers/` from (step, layer, living, mixed, kl_mean)."""
    step, layer, living, mixed, kl = zip(*rows, strict=True)
    return pa.table(
        {
            "step": step,
            "layer": layer,
            "regime_0": living,
            "regime_9": mixed,
            "kl_mean": pa.array(kl, pa.float32()),
        }
    )


def test_living_share_and_rate_by_hand():
    """Layers of 2 and 4 neurons: living and mixed ones count, the rate is the sum over all neurons."""
    state = new()
    manifest.note_layers(
        state, layers_table([(1, 0, 1, 1, 0.5), (1, 1, 1, 0, 0.25), (2, 0, 0, 0, 0.0), (2, 1, 2, 1, 1.0)])
    )
    assert state["living_share"] == [0.0, 0.75]
    assert state["sparklines"]["living_share"] == [[1, (1 + 0.25) / 2], [2, 0.375]]
    assert state["sparklines"]["rate"] == [[1, 2.0], [2, 4.0]]
    manifest.note_layers(state, layers_table([(3, 1, 4, 0, 0.0)]))
    assert state["living_share"] == [0.0, 1.0]  # a layer that was not recorded keeps its last
    assert state["sparklines"]["living_share"][-1] == [3, 1.0]


def scalars_table(rows):
    step, split, name, value = zip(*rows, strict=True)
    return pa.table(
        {"step": step, "time": [0.5 * s for s in step], "split": split, "name": name, "value": value}
    )


def test_scores_are_the_last_and_sparklines_the_first_twelve_series():
    state = new()
    manifest.note_scalars(
        state, scalars_table([(1, "train", "nll", 3.0), (2, "train", "nll", 2.0), (2, "test", "nll", 4.0)])
    )
    assert state["scores"] == {"train/nll": {"step": 2, "value": 2.0}, "test/nll": {"step": 2, "value": 4.0}}
    assert state["elapsed"] == 1.0
    assert state["sparklines"]["train/nll"] == [[1, 3.0], [2, 2.0]]
    manifest.note_scalars(
        state, scalars_table([(3, "train", f"s{i:02}", 0.0) for i in range(20)] + [(3, "test", "nll", 1.0)])
    )
    assert list(state["sparklines"]) == ["train/nll", "test/nll", *(f"train/s{i:02}" for i in range(10))]
    assert state["sparklines"]["test/nll"][-1] == [3, 1.0]  # one that is there goes on
    assert len(state["scores"]) == 22


def test_the_time_of_training_is_that_of_the_last_score():
    state = new()
    for rows, elapsed in (([1], 0.5), ([2, 7], 3.5)):
        manifest.note_scalars(state, scalars_table([(step, "train", "nll", 1.0) for step in rows]))
        assert state["elapsed"] == elapsed


def test_one_writer_a_run(tmp_path):
    first = Lock(tmp_path)
    with pytest.raises(RunError, match="is being written by another recorder"):
        Lock(tmp_path)
    first.release()
    first.release()
    second = Lock(tmp_path)
    second.release()


def test_a_child_that_was_forked_does_not_keep_the_lock(tmp_path):
    """A data loader's worker must neither keep others from the run after its parent's end, nor unlock it
    before.
    """
    lock = Lock(tmp_path)
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    assert os.read(ready[0], 1) == b"x"
    try:
        with pytest.raises(RunError):  # the child has let go of its copy: the parent's own still holds
            Lock(tmp_path)
        lock._file.close()  # as when the parent dies: without unlocking
        Lock(tmp_path).release()
    finally:
        os.write(done[1], b"x")
        os.waitpid(child, 0)
        for end in (*ready, *done):
            os.close(end)


def test_where_files_of_another_format_begin():
    old, resumed = {"resumed_from": None}, {"resumed_from": 100}
    new = {"resumed_from": 200, "format": "1.2", "rows": {"scalars": 7}}
    again = {"resumed_from": 300, "format": "1.2", "rows": {"scalars": 9}}
    starts = manifest.format_starts
    assert starts({"segments": [old, resumed]}) == []
    assert starts({"segments": [old, resumed, new, again]}) == [201]
    assert starts({"segments": [old, resumed, new, again]}, "scalars") == [7]
    assert starts({"segments": [old, new]}, "events") == [0]
    back = {"resumed_from": 50, "format": "1.3", "rows": {"scalars": 3}}
    assert starts({"segments": [old, new, again, back]}) == [51]
    assert starts({"segments": [{"resumed_from": None, "format": "1.2", "rows": {}}, again]}) == []
