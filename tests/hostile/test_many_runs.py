"""Fifty runs of which five are broken in different ways: all are listed, each broken one says why, on every
page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bases
import damage
import pytest
from streamlit.testing.v1 import AppTest

from pages.shell.session import runs
from pages.shell.session.state import PAGES
from probes.log import manifest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60  # seconds: the first run imports plotly and pyarrow
RUNS = 50
BROKEN = {
    "cut-off": "is not readable as JSON",
    "newer": "has format 9.0",
    "no-object": "names no format version",
    "no-layers": "a run needs at least one layer",
    "elsewhere": "is a link that leaves its folder of runs",
}
DAMAGED = "damaged"


@pytest.fixture(scope="module")
def folder(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs; besides, one of the sound ones has a cut file of its rows, which its manifest does not
    know.
    """
    root = tmp_path_factory.mktemp("many")
    runs = root / "runs"
    for number in range(RUNS - len(BROKEN) - 1):
        bases.link_copy(sound, runs / f"run{number:02d}")
    for name in (DAMAGED, *BROKEN):
        bases.link_copy(sound, (root if name == "elsewhere" else runs) / name)
    (runs / "elsewhere").symlink_to(root / "elsewhere")
    text = (sound / "run.json").read_bytes()
    for name, content in {
        "cut-off": text[:-40],
        "newer": json.dumps(json.loads(text) | {"format": "9.0"}).encode(),
        "no-object": b"[1, 2]",
        "no-layers": json.dumps(json.loads(text) | {"layers": []}).encode(),
    }.items():
        damage.replace(runs / name / "run.json", content)
    part = sorted((runs / DAMAGED / "neurons").iterdir())[0]
    damage.replace(part, part.read_bytes()[:-100])
    return runs


def open_page(monkeypatch: pytest.MonkeyPatch, page: str, folder: Path, **query: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(folder)])
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def test_all_are_listed_and_the_broken_ones_say_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "runs", folder)
    table = app.dataframe[0].value
    assert len(table) == RUNS
    assert dict(table["status"].value_counts()) == {"finished": RUNS - len(BROKEN), "unreadable": len(BROKEN)}
    assert any(f"{len(BROKEN)} of them cannot be read" in item.label for item in app.expander)
    said = [item.value for item in app.code]
    for name, words in BROKEN.items():
        assert any(str(folder / name) in text and words in text for text in said), name


@pytest.mark.parametrize("page", [name for name, _, _ in PAGES if name not in ("runs", "reference")])
def test_every_page_of_a_broken_run_says_why_and_offers_the_others(
    folder: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, words in BROKEN.items():
        app = open_page(monkeypatch, page, folder, run=name)
        (error,) = app.error
        assert words in error.value.replace("\\", ""), name
        assert len(app.sidebar.selectbox[0].options) == RUNS
    app = open_page(monkeypatch, page, folder, run="run07")
    assert not app.error


@pytest.mark.parametrize("page", ["health", "replay", "layers", "neurons"])
def test_a_damaged_file_is_said_where_it_is_needed(
    folder: Path, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(monkeypatch, page, folder, run=DAMAGED)
    (error,) = app.error
    assert "cannot be read further" in error.value
    assert "000000000000-000000000255.parquet" in error.value.replace("\\", "")


def test_a_broken_run_beside_another_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(monkeypatch, "replay", folder, run="run01", vs="newer")
    assert any("newer" in item.value and "cannot be read" in item.value for item in app.warning)


def test_the_catalog_of_fifty_runs_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not changed is not parsed again."""
    monkeypatch.setattr(sys, "argv", ["app.py", "--runs", str(folder)])
    runs.entries()
    monkeypatch.setattr(manifest, "read", lambda *arguments: pytest.fail("a manifest was read again"))
    assert len(runs.entries()) == RUNS
