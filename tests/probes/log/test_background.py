"""The buffer between loop and disk: bounded, emptied in time, nothing lost uncounted. No test waits for
ever.
"""

import threading
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from probes.log import background, manifest, rows
from probes.log.background import Background, RecorderError, Settings
from probes.log.writer import Chunk

PATIENCE = 60.0  # seconds: what takes longer hangs


class Disk:
    """Stands for a `Writer`: keeps its batches, writes while `open`, fails with `error` while it is set."""

    def __init__(self, layers=1):
        self.folder = SimpleNamespace(name="run")
        self.state = {"layers": [{}] * layers, "dropped": {"steps": 0, "rows": 0}}
        self.newest = -1
        self.open = threading.Event()
        self.open.set()
        self.writing = threading.Event()
        self.error = None
        self.queued, self.written, self.runs, self.status = [], [], 0, None

    def submit(self, batch):
        self.queued.append(batch)

    def run(self):
        self.writing.set()
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        self.written += self.queued
        self.queued = []
        self.runs += 1

    def finish(self, status):
        self.run()
        self.status = status

    @property
    def steps(self):
        """Written steps, in order of writing."""
        return [int(step) for batch in self.written for chunk in batch.chunks for step in chunk.steps]


def chunk(*steps, layer=0, neurons=2):
    return Chunk(layer, np.array(steps), {"mean": np.zeros((len(steps), neurons), np.float32)})


def within(call, seconds=PATIENCE):
    """Runs `call` in a thread of its own; a call that does not return in time fails the test."""
    caught = []

    def run():
        try:
            call()
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"hangs for {seconds} s"
    if caught:
        raise caught[0]


def until(true, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.002)


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def start(disk):
    """Makes a background on `disk` and ends it after the test, whatever has become of it."""
    made = []

    def build(**settings):
        made.append(Background(disk, Settings(**{"flush_seconds": 60.0} | settings), complete=-1))
        return made[-1]

    yield build
    disk.open.set()
    disk.error = None
    for one in made:
        if not one._closing:
            within(lambda one=one: one.close("finished"))


def add(buffer, *steps):
    """Record steps of one layer, each complete at once, as `Recorder.record` does."""
    for step in steps:
        with buffer.wake:
            buffer.add_chunk(chunk(step))
            buffer.complete = step


def test_a_full_buffer_is_emptied_and_the_loop_goes_on(start, disk):
    buffer = start(flush_steps=5)
    within(lambda: add(buffer, *range(200)))
    within(buffer.flush)
    assert disk.steps == list(range(200))
    assert max(len(batch.chunks) for batch in disk.written) <= 5
    assert disk.state["dropped"] == {"steps": 0, "rows": 0}


def test_a_full_buffer_of_rows_alone_is_emptied_too(start, disk):
    buffer = start(flush_bytes=10 * background.ROW_BYTES)
    within(lambda: [buffer.add_rows("events", [(step,)]) for step in range(100)])
    within(buffer.flush)
    assert [row for batch in disk.written for piece in batch.rows.get("events", []) for row in piece] == [
        (step,) for step in range(100)
    ]


def test_a_step_that_is_not_complete_never_makes_the_loop_wait(start, disk):
    """All that is buffered belongs to a step that other layers still add to: waiting would be for ever."""
    buffer = start(flush_steps=3)
    within(lambda: [buffer.add_chunk(chunk(step)) for step in range(10)])
    assert disk.steps == []
    buffer.complete = 9
    within(buffer.flush)
    assert disk.steps == list(range(10))


def test_the_loop_waits_while_one_batch_is_written_and_the_other_is_full(start, disk):
    disk.open.clear()
    buffer = start(flush_steps=5)
    reached = []
    thread = threading.Thread(
        target=lambda: [(add(buffer, step), reached.append(step)) for step in range(20)], daemon=True
    )
    thread.start()
    until(lambda: len(reached) >= 10)
    time.sleep(0.05)
    assert reached == list(range(10))  # five are being written, five wait
    disk.open.set()
    thread.join(PATIENCE)
    assert reached == list(range(20))
    within(buffer.flush)
    assert disk.steps == list(range(20))


def test_what_does_not_fit_is_dropped_and_counted_by_choice(start, disk):
    disk.open.clear()
    buffer = start(flush_steps=5, when_full="drop")
    within(lambda: add(buffer, *range(5)))
    assert disk.writing.wait(PATIENCE)
    within(lambda: add(buffer, *range(5, 13)))  # 5 to 9 fill the buffer
    within(lambda: buffer.add_chunk(chunk(13, 14, 15)))
    within(lambda: buffer.add_rows("scalars", [(1,), (2,)]))
    assert disk.state["dropped"] == {"steps": 6, "rows": 2}
    disk.open.set()
    within(buffer.flush)
    assert disk.steps == list(range(10))


def test_the_bound_in_bytes_holds_where_steps_are_few(start, disk, monkeypatch):
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 100.0)  # which would write it too
    wide = chunk(0, neurons=1000)
    assert wide.nbytes == 4000
    buffer = start(flush_bytes=4000)
    buffer.complete = 0
    within(lambda: buffer.add_chunk(wide))
    until(lambda: disk.steps == [0])


def test_bytes_of_what_was_written_count_no_more(start, disk):
    buffer = start(flush_bytes=12_000)
    for step in range(6):
        buffer.add_chunk(chunk(step, neurons=1000))
        buffer.complete = step
        within(buffer.flush)
    assert len(disk.written) == 6 + sum(not batch.chunks for batch in disk.written)
    assert buffer._bytes == 0


def test_a_flush_leaves_what_other_layers_may_still_add_to(start):
    buffer = start()
    buffer.add_chunk(chunk(3))
    buffer.add_chunk(chunk(4))
    buffer.complete = 3
    within(buffer.flush)
    disk = buffer.writer
    assert disk.steps == [3]
    assert buffer._sizes == [1]
    assert buffer._bytes == 8
    within(lambda: buffer.close("finished"))
    assert disk.steps == [3, 4]  # closing, nobody adds to anything


def test_the_clock_runs_on_for_what_stayed(start, disk, monkeypatch):
    """A step that becomes complete later is written when it is due, though nothing further comes."""
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 100.0)
    buffer = start(flush_seconds=0.05)
    buffer.add_chunk(chunk(0))
    buffer.add_rows("events", [(0,)])
    until(lambda: disk.written)
    assert disk.steps == []
    buffer.complete = 0
    until(lambda: disk.steps == [0])


def test_rows_are_written_when_they_are_due_by_time(start, disk):
    buffer = start(flush_seconds=0.05)
    buffer.add_rows("events", [(0,)])
    until(lambda: disk.written and disk.written[0].rows == {"events": [[(0,)]]})


def test_a_run_that_records_nothing_says_that_it_lives(start, disk, monkeypatch):
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 0.02)
    start()
    until(lambda: disk.runs >= 3)


def test_a_reader_waits_for_several_heartbeats():
    assert background.HEARTBEAT_SECONDS <= manifest.SILENT_SECONDS / 3


def test_a_failure_is_told_once_and_tried_again(start, disk):
    disk.error = OSError("no room")
    buffer = start()
    add(buffer, 0)
    with pytest.raises(RecorderError, match="no room.*tried again at the next flush") as caught:
        within(buffer.flush)
    assert caught.value.__cause__ is disk.error
    buffer.tell()
    disk.error = None
    within(buffer.flush)
    assert disk.steps == [0]


def test_a_full_buffer_on_a_failing_disk_drops_and_counts_instead_of_waiting(start, disk):
    disk.error = OSError("no room")
    buffer = start(flush_steps=2, strict=False)
    within(lambda: add(buffer, 0, 1))
    until(lambda: disk.writing.is_set() and not buffer._busy)
    with pytest.warns(RuntimeWarning, match="new rows are dropped and counted"):
        buffer.tell()
    within(lambda: add(buffer, 2, 3, 4, 5))
    assert disk.state["dropped"]["steps"] == 2
    disk.error = None
    within(buffer.flush)
    assert disk.steps == [0, 1, 2, 3]


def test_what_waits_for_room_while_the_write_before_it_fails_is_kept(start, disk):
    """Its caller hears of the failure; only what comes after that is dropped."""
    disk.open.clear()
    buffer = start(flush_steps=2)
    within(lambda: add(buffer, 0, 1))
    assert disk.writing.wait(PATIENCE)
    within(lambda: add(buffer, 2, 3))
    late = threading.Thread(target=lambda: add(buffer, 4), daemon=True)
    late.start()
    until(lambda: buffer.wake._waiters)  # the thread that writes is not among them
    assert late.is_alive()
    disk.error = OSError("no room")
    disk.open.set()
    late.join(PATIENCE)
    with pytest.raises(RecorderError, match="no room"):
        buffer.tell()
    assert disk.state["dropped"] == {"steps": 0, "rows": 0}
    disk.error = None
    within(buffer.flush)
    assert disk.steps == [0, 1, 2, 3, 4]


def test_closing_on_a_failing_disk_says_that_the_rest_is_lost(start, disk):
    buffer = start()
    add(buffer, 0)
    disk.error = pa.ArrowInvalid("no room")
    with pytest.raises(RecorderError, match="no room. What was not written yet is lost$") as caught:
        within(lambda: buffer.close("finished"))
    assert caught.value.__cause__ is disk.error


def test_closing_without_strict_on_a_failing_disk_warns_of_what_is_lost(start, disk):
    buffer = start(strict=False)
    add(buffer, 0)
    disk.error = OSError("no room")
    with pytest.warns(RuntimeWarning, match="no room. What was not written yet is lost$"):
        buffer.close("finished")


def test_without_strict_a_disk_that_goes_on_failing_is_told_of_once(start, disk):
    buffer = start(strict=False)
    add(buffer, 0)
    disk.error = OSError("no room")
    with pytest.warns(
        RuntimeWarning, match="tried again at the next flush; when the buffer is full new rows"
    ):
        buffer.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        within(buffer.flush)


def test_a_last_step_that_is_on_the_disk_already_is_left_out_at_closing(start, disk):
    """One step would be in two files."""
    buffer = start()
    disk.newest = 7
    within(lambda: buffer.close("finished", [chunk(7), chunk(6, layer=0), chunk(8)]))
    assert disk.steps == [8]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_died_is_told(start, disk, monkeypatch):
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 0.05)  # whoever waits looks as often
    disk.error = KeyError("a mistake of ours")
    buffer = start()
    add(buffer, 0)
    with pytest.raises(RecorderError, match="has died; what was recorded since its last flush is lost"):
        within(buffer.flush)


def test_closing_writes_the_rest_with_the_status_and_refuses_more(start, disk):
    buffer = start()
    add(buffer, 0, 1)
    within(lambda: buffer.close("interrupted"))
    assert disk.steps == [0, 1]
    assert disk.status == "interrupted"
    with pytest.raises(RecorderError, match="is closed"):
        buffer.add_rows("events", [(0,)])


def test_tables_count_their_bytes_and_tuples_a_fixed_size(start):
    buffer = start()
    table = pa.table({"step": pa.array(np.arange(10))}, schema=rows.SCHEMAS["predictions"])
    buffer.add_rows("predictions", table)
    assert buffer._bytes == 80
    buffer.add_rows("events", [(0,), (1,)])
    assert buffer._bytes == 80 + 2 * background.ROW_BYTES


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"when_full": "explode"}, 'must be "wait" or "drop"'),
        ({"flush_seconds": 0}, "flush_seconds is 0; it must be positive"),
        ({"flush_steps": -1}, "flush_steps is -1"),
        ({"flush_bytes": float("nan")}, "flush_bytes is nan"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Settings(**settings)
