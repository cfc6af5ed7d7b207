"""One reader a run: what was read survives a flush, and nothing that has changed is shown as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shown import texts, unpack
from streamlit.testing.v1 import AppTest

import probes
from pages.shell.session import cache, live, runs
from probes import Recorder
from probes.log import opening
from probes.log.manifest import SILENT_SECONDS

Open = Callable[..., AppTest]
LAYERS, NEURONS, INPUTS = 2, 6, 5
ANSWERS = (
    "at", "history", "matrix", "layer_summary", "scalars", "events", "probe", "probe_steps", "predictions",
    "forces", "evaluation",
)  # fmt: skip
"""Methods of a run that read rows."""


def begin(path: Path, **options: Any) -> Recorder:
    layers = [{"name": f"layer {index + 1}", "neurons": NEURONS} for index in range(LAYERS)]
    return Recorder(path, layers, config={"beta": 0.02}, **options)


def record(recorder: Recorder, first: int, last: int, seed: int = 0) -> None:
    """Steps first .. last of all layers with their loss, on disk when it returns; KL is that of the rest."""
    draw = np.random.default_rng([seed, first])
    for step in range(first, last + 1):
        for layer in range(LAYERS):
            variance = draw.uniform(0.2, 1, NEURONS)
            information = 0.5 * np.log((variance + 0.5) / variance)
            recorder.record(
                step, layer, mean=draw.standard_normal(NEURONS), variance=variance,
                spread=np.full(NEURONS, 0.5), information=information, mismatch=np.zeros(NEURONS),
                kl=information,
            )  # fmt: skip
        recorder.scalar(step, "loss", float(draw.uniform()), split="train")
    recorder.flush()


def probe(recorder: Recorder, step: int, layers: range = range(LAYERS)) -> None:
    draw = np.random.default_rng(step)
    for layer in layers:
        mu = draw.standard_normal((INPUTS, NEURONS))
        recorder.probe(step, layer, mu=mu, sigma=np.full(mu.shape, 0.5))
    recorder.flush()


def heartbeat(path: Path) -> None:
    """The manifest anew, as a recorder writes it while it has nothing else to write."""
    temporary = path / ".tmp-run.json"
    manifest = json.loads((path / "run.json").read_text())
    temporary.write_text(json.dumps(manifest | {"heartbeat": manifest["heartbeat"] + 1}))
    os.replace(temporary, path / "run.json")


def opened(path: Path) -> runs.RunContext:
    """The run as a page would open it now."""
    row = next(row for row in probes.catalog(path.parent).to_dict("records") if row["path"] == str(path))
    return runs.open_run(runs.Entry(path.name, path, row))


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[tuple[Path, Recorder]]:
    """A run of forty steps, its probe batch stored at two of them, that is still being written."""
    with begin(tmp_path / "live", flush_seconds=600) as recorder:
        record(recorder, 1, 20)
        probe(recorder, 10)
        record(recorder, 21, 40)
        probe(recorder, 30)
        yield tmp_path / "live", recorder


class Reads:
    """What is asked of runs, and which files are opened, from its making on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.files: list[str] = []
        for name in ANSWERS:
            monkeypatch.setattr(probes.Run, name, self._noting(name, getattr(probes.Run, name)))
        monkeypatch.setattr(opening, "open_parquet", self._noting_file(opening.open_parquet))

    def _noting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(run: Any, *args: Any, **kwargs: Any) -> Any:
            self.asked.append((name, args, kwargs))
            return method(run, *args, **kwargs)

        return call

    def _noting_file(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: str, *args: Any, **kwargs: Any) -> Any:
            self.files.append(path)
            return function(path, *args, **kwargs)

        return call

    def steps_of(self, name: str) -> set[int]:
        """Steps that a method with a step as its first argument was asked for."""
        return {int(args[0]) for asked, args, _ in self.asked if asked == name and args}

    def clear(self) -> None:
        self.asked.clear()
        self.files.clear()


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("replay", {}),
        ("replay", {"input": "1"}),
        ("neurons", {"pin": "0.1,1.2"}),
        ("health", {"neurons": "1.2"}),
        ("layers", {}),
    ],
)
def test_after_a_flush_only_what_is_new_is_read(
    open_page: Open,
    live_run: tuple[Path, Recorder],
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    query: dict[str, str],
) -> None:
    path, recorder = live_run
    reads = Reads(monkeypatch)
    app = open_page(page, path.parent, step="25", **query)
    assert reads.asked
    *_, newest_probe = sorted((path / "probe").iterdir())  # its step could still have grown
    before = {str(file) for file in path.rglob("*.parquet")} - {str(newest_probe)}
    reads.clear()
    record(recorder, 41, 42)
    probe(recorder, 42)
    app.run()
    assert not app.exception
    assert not before & set(reads.files), "a file that was read is opened again"
    assert reads.files, "the new ones are read"
    assert min(reads.steps_of("at"), default=42) > 40
    assert min(reads.steps_of("probe"), default=42) >= 30
    single = [kwargs["steps"] for name, _, kwargs in reads.asked if name == "history" and "steps" in kwargs]
    assert all(last > 40 for first, last in single), "a range that has ended is read again"


def test_new_steps_are_seen(open_page: Open, live_run: tuple[Path, Recorder]) -> None:
    path, recorder = live_run
    app = open_page("replay", path.parent)
    assert unpack(app, "replay")[0]["steps"][-1] == 40
    record(recorder, 41, 45)
    header, arrays = unpack(app.run(), "replay")
    assert header["steps"][-1] == 45
    fresh = probes.Run(path).at(45, 1).set_index("neuron").loc[header["layers"][1]["neurons"], "mean"]
    np.testing.assert_allclose(arrays["mean.1"].reshape(len(header["steps"]), -1)[-1], fresh, rtol=1e-3)


@pytest.mark.parametrize("page", ["replay", "neurons", "health", "layers", "uncertainty"])
def test_a_heartbeat_reads_nothing(
    open_page: Open, live_run: tuple[Path, Recorder], monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    path, _ = live_run
    app = open_page(page, path.parent)
    reads = Reads(monkeypatch)
    heartbeat(path)
    app.run()
    assert reads.asked == []
    assert reads.files == []


def test_a_resumed_run_is_seen_at_once(open_page: Open, live_run: tuple[Path, Recorder]) -> None:
    """Rows after the checkpoint are set aside, and other ones come under the same steps and file names."""
    path, recorder = live_run
    app = open_page("layers", path.parent, step="35", layer="layer 2", neurons="1.3", statistic="mean")
    before = cache.at(opened(path), 35)["mean"].to_numpy()
    recorder.close("interrupted")
    with Recorder.resume(path, 20, flush_seconds=600) as resumed:
        record(resumed, 21, 40, seed=1)
        shown = cache.at(opened(path), 35)
        assert not np.array_equal(shown["mean"], before)
        np.testing.assert_array_equal(shown["mean"], probes.Run(path).at(35)["mean"])
        assert not len(cache.probe_steps(opened(path))[1:]), "the probe batch of step 30 is set aside"
        exact = float(shown[(shown["layer"] == 1) & (shown["neuron"] == 3)]["mean"].iloc[0])
        assert f"{exact:.5g}" in texts(app.run())


def test_a_run_made_anew_in_the_same_place_is_seen_at_once(tmp_path: Path) -> None:
    """Within the same second, with the same layers, settings and number of steps."""
    for seed in range(3):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        with begin(tmp_path / "run") as recorder:
            record(recorder, 1, 10, seed=seed)
            context = opened(tmp_path / "run")
            fresh = probes.Run(tmp_path / "run")
            np.testing.assert_array_equal(cache.at(context, 5)["mean"], fresh.at(5)["mean"])
            np.testing.assert_array_equal(cache.summary(context)["kl_mean"], fresh.layer_summary()["kl_mean"])


def test_its_status_is_that_of_now(live_run: tuple[Path, Recorder]) -> None:
    path, recorder = live_run
    assert opened(path).run.status == "running"
    identity = opened(path).identity
    manifest = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(
        json.dumps(manifest | {"heartbeat": manifest["heartbeat"] - 2 * SILENT_SECONDS})
    )
    assert opened(path).run.status == "crashed"
    record(recorder, 41, 41)
    assert opened(path).run.status == "running"
    recorder.close()
    assert opened(path).run.status == "finished"
    assert opened(path).identity == identity, "what was read of it is still right"


def test_rows_of_a_killed_writer_are_seen_once_it_has_fallen_silent(
    live_run: tuple[Path, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be killed between a file and the manifest that would tell of it."""
    path, recorder = live_run
    text, stat = (path / "run.json").read_bytes(), (path / "run.json").stat()
    assert opened(path).last == 40
    record(recorder, 41, 43)
    os.truncate(path / "run.json", 0)  # in place, so that size, time and inode can be what they were
    (path / "run.json").write_bytes(text)
    os.utime(path / "run.json", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    opened(path)
    beat = json.loads(text)["heartbeat"]
    monkeypatch.setattr("probes.log.manifest.time.time", lambda: beat + SILENT_SECONDS + 1)
    assert opened(path).run.status == "crashed"
    assert opened(path).last == 43


def test_a_page_sees_one_state_of_the_run_while_it_is_drawn(live_run: tuple[Path, Recorder]) -> None:
    path, recorder = live_run
    context = opened(path)
    record(recorder, 41, 60)
    later = opened(path)
    assert later.last == 60
    assert context.last == 40
    assert len(context.run.steps) == 40
    assert cache.summary(context)["step"].max() == 40
    assert cache.summary(later)["step"].max() == 60
    recorder.close()  # compacts, and removes the files that the earlier state lists
    opened(path)
    assert set(context.run.history(0, 1)["step"]) >= set(range(1, 41))


def test_many_sessions_ask_while_it_is_written(live_run: tuple[Path, Recorder]) -> None:
    path, recorder = live_run

    def ask(number: int) -> None:
        context = opened(path)
        steps = context.run.steps
        assert cache.summary(context)["step"].max() == steps[-1] == context.last
        assert cache.replay_frames(context, number % LAYERS, (0, 1), 50).steps[-1] == steps[-1]
        assert cache.at(context, int(steps[-1]))["step"].max() == steps[-1]

    with ThreadPoolExecutor(8) as pool:
        asking = []
        for step in range(41, 61):
            asking += [pool.submit(ask, number) for number in range(8)]
            record(recorder, step, step)
        for future in asking:
            future.result()


def test_the_newest_probe_step_may_still_grow(live_run: tuple[Path, Recorder]) -> None:
    path, recorder = live_run
    record(recorder, 41, 50)
    probe(recorder, 50, range(1))
    context = opened(path)
    assert cache.probe_layer(context, 50, 0) is not None
    assert cache.probe_layer(context, 50, 1) is None
    assert list(cache.probe_inputs(context)) == [0]
    probe(recorder, 50, range(1, LAYERS))
    assert cache.probe_layer(opened(path), 50, 1) is not None
    assert list(cache.probe_inputs(opened(path))) == [0, 1]
    assert len(cache.probe_input(opened(path), 2)[1][0]) == 3


def test_some_neurons_of_a_wide_layer_are_read_without_the_rest(
    live_run: tuple[Path, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, recorder = live_run
    record(recorder, 41, 50)
    probe(recorder, 50)
    context = opened(path)
    whole = cache.probe_layer(context, 50, 1)
    assert whole is not None
    chosen = [0, NEURONS - 1]
    expected = [values[:, chosen] for values in whole]
    np.testing.assert_array_equal(cache.probe_neurons(context, 50, 1, chosen), expected)
    monkeypatch.setattr(cache, "NARROW", 1)
    asked = []
    read = context.run.probe
    monkeypatch.setattr(context.run, "probe", lambda *of: asked.append(of) or read(*of))
    np.testing.assert_array_equal(cache.probe_neurons(context, 50, 1, chosen), expected)
    assert cache.probe_sequence_of(context, 50, 1, chosen) is None
    assert asked == [(50, 1, tuple(chosen))]  # once, for both


@pytest.mark.parametrize("change", ["deleted", "unreadable", "replaced"])
def test_a_page_that_follows_a_run_is_drawn_anew_when_it_is_no_longer_the_same(
    live_run: tuple[Path, Recorder], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path, recorder = live_run
    context = opened(path)

    class Rerun(Exception):
        pass

    def rerun() -> None:
        raise Rerun

    monkeypatch.setattr("streamlit.rerun", rerun)
    assert live._now(context).identity == context.identity
    recorder.close()
    if change == "unreadable":
        (path / "run.json").write_text("{")
    else:
        shutil.rmtree(path)
    if change == "replaced":
        with begin(path) as other:
            record(other, 1, 3)
    with pytest.raises(Rerun):
        live._now(context)


def test_a_snapshot_stays_at_its_step_when_its_files_are_compacted_away(
    live_run: tuple[Path, Recorder],
) -> None:
    path, recorder = live_run
    run = probes.Run(path)
    fixed = run.snapshot()
    before = {file.name for file in (path / "neurons").glob("*-*.parquet")}
    record(recorder, 41, 60)
    recorder.close()
    after = {file.name for file in (path / "neurons").glob("*-*.parquet")}
    assert not before & after, "nothing was compacted away, and this tests nothing"
    assert fixed.history(0, 1)["step"].max() == 40
    assert fixed.layer_summary()["step"].max() == fixed.steps[-1] == fixed.extent("neurons") == 40
    assert fixed.at(40)["step"].max() == 40
    with pytest.raises(probes.RunError, match="step 41 is not recorded"):
        fixed.at(41)
    assert run.refresh()
    assert run.steps[-1] == 60
