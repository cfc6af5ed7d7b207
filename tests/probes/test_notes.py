"""Notes beside a log: read, written whole, refused when they are none."""

import json

import pytest

from probes import notes
from probes.errors import RunError
from probes.log.manifest import FILE


@pytest.fixture
def run(tmp_path):
    (tmp_path / FILE).write_text("{}")
    return tmp_path


def test_what_is_written_is_read(run):
    written = notes.write(run, ["keep", " a  b ", "keep", ""], " <script>x</script> µ\n")
    assert written == notes.Notes(("keep", "a b"), "<script>x</script> µ")
    assert notes.read(run) == written
    assert json.loads((run / notes.NAME).read_text("utf-8")) == {
        "tags": ["keep", "a b"],
        "notes": "<script>x</script> µ",
    }
    assert sorted(path.name for path in run.iterdir()) == [notes.NAME, FILE]


def test_a_run_without_notes_has_empty_ones(run):
    assert notes.read(run) == notes.Notes()


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '"text"',
        '{"tags": 5, "notes": ["x"]}',
        '{"tags": [1, null, {}]}',
        '{"shown_name": 5, "archived": "yes"}',
        '{"shown_name": [], "archived": 1}',
    ],
)
def test_what_is_of_another_type_is_left_out(run, content):
    (run / notes.NAME).write_text(content)
    assert notes.read(run) == notes.Notes()


def test_notes_that_are_no_json_say_so(run):
    (run / notes.NAME).write_text("{")
    with pytest.raises(RunError, match=r"notes\.json is not readable as JSON"):
        notes.read(run)


@pytest.mark.parametrize(
    ("tags", "text", "message"),
    [
        (["x" * 41], "", "41 characters"),
        ([str(i) for i in range(25)], "", "25 tags"),
        ([], "x" * 20_001, "20,001 characters"),
    ],
)
def test_what_is_too_long_is_refused_and_nothing_changes(run, tags, text, message):
    notes.write(run, ["before"], "")
    with pytest.raises(RunError, match=message):
        notes.write(run, tags, text)
    assert notes.read(run).tags == ("before",)


def test_sets_and_tags_leave_each_other_alone(run):
    notes.write(run, ["keep"], "note")
    written = notes.write_sets(run, {" the  dead ": ["0.3", "0.3", "other:1:2"], "": ["0.1"]})
    assert written == notes.Notes(("keep",), "note", {"the dead": ("0.3", "other:1:2")})
    assert notes.read(run) == written
    assert notes.write(run, [], "").sets == written.sets
    assert notes.write_sets(run, {}) == notes.Notes()
    assert "sets" not in json.loads((run / notes.NAME).read_text("utf-8"))


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"x" * 41: ["0.1"]}, "41 characters"),
        ({str(i): ["0.1"] for i in range(25)}, "25 sets"),
        ({"all": [f"0.{i}" for i in range(65)]}, "65 neurons"),
    ],
)
def test_sets_that_are_too_long_are_refused_and_nothing_changes(run, sets, message):
    notes.write_sets(run, {"before": ["0.1"]})
    with pytest.raises(RunError, match=message):
        notes.write_sets(run, sets)
    assert notes.read(run).sets == {"before": ("0.1",)}


@pytest.mark.parametrize("sets", ['["0.1"]', '{"a": "0.1", " ": ["0.1"], "b": 3}'])
def test_what_is_no_set_is_left_out(run, sets):
    (run / notes.NAME).write_text(f'{{"sets": {sets}}}')
    assert notes.read(run) == notes.Notes()


def test_notes_are_written_beside_a_run_only(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        notes.write_sets(tmp_path, {"x": ["0.1"]})
    with pytest.raises(RunError, match="holds no run"):
        notes.write(tmp_path, ["x"], "")
    assert not list(tmp_path.iterdir())


def test_name_archive_and_tags_leave_each_other_alone(run):
    notes.write(run, ["keep"], "note")
    notes.write_sets(run, {"mine": ["0.1"]})
    notes.write_shown_name(run, "  the  best ")
    notes.write_archived(run, True)
    notes.change_tags(run, add=["new", "keep"])
    expected = notes.Notes(("keep", "new"), "note", {"mine": ("0.1",)}, "the best", True)
    assert notes.read(run) == expected
    notes.write(run, ["keep"], "other")
    assert notes.read(run).archived
    assert notes.change_tags(run, remove=["keep"]).tags == ()
    notes.write_archived(run, False)
    notes.write_shown_name(run, "")
    assert json.loads((run / notes.NAME).read_text("utf-8")).keys() == {"tags", "notes", "sets"}


def test_a_name_that_is_too_long_is_refused(run):
    with pytest.raises(RunError, match="81 characters"):
        notes.write_shown_name(run, "x" * 81)
    assert notes.read(run) == notes.Notes()
