"""Which part of the dashboard may import which: pages -> widgets -> data -> session -> probes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHELL = "pages.shell"
ALLOWED = {
    "session": {"session"},
    "data": {"data", "session"},
    "widgets": {"widgets", "data", "session", "server"},
    "server": {"server", "session.options"},
    "frame": {"session"},
}
"""A part of the shell -> what it imports of the shell; a page, which is no part, may import all."""
EXCEPTIONS = {
    ("pages.shell.data", "pages.shell.widgets.canvases")
}  # `pack`, until it lies in `probes.canvas`
WIDGETS = {"cache_data", "cache_resource"}
"""All that `shell/data` and `shell/server` may take from Streamlit besides the settings."""


def modules() -> list[Path]:
    return sorted(path for path in (ROOT / "pages").rglob("*.py") if path.name != "__init__.py")


def part_of(path: Path) -> str | None:
    """The part of the shell that a file belongs to; None for a page."""
    inside = path.relative_to(ROOT / "pages").parts
    return inside[1].removesuffix(".py") if inside[0] == "shell" else None


def imported(tree: ast.AST) -> set[str]:
    """Modules that a file imports, anywhere in it; of `from a import b` it is `a.b`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole path"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_dependence_points_one_way(path: Path) -> None:
    part = part_of(path)
    if part is None:
        return
    for name in imported(ast.parse(path.read_text())):
        if name.startswith("pages."):
            assert name.startswith(SHELL), f"{name_of(path)} imports a page, {name}"
        excepted = any(name_of(path).startswith(a) and name.startswith(b) for a, b in EXCEPTIONS)
        if name.startswith(f"{SHELL}.") and not excepted:
            inner = name.removeprefix(f"{SHELL}.")
            allowed = any(inner == one or inner.startswith(f"{one}.") for one in ALLOWED[part])
            assert allowed, f"{name_of(path)} imports {name}"
        assert name.split(".")[0] not in ("vdn", "torch"), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", [path for path in modules() if part_of(path) == "data"], ids=name_of)
def test_what_reads_draws_no_widget(path: Path) -> None:
    """Of Streamlit `shell/data` uses the cache, nothing that is seen."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "st"
    }
    assert used <= WIDGETS


@pytest.mark.parametrize("path", [path for path in modules() if part_of(path) is None], ids=name_of)
def test_a_page_composes(path: Path) -> None:
    """A page is short, and arithmetic of arrays and tables has its place in `shell/data`."""
    text = path.read_text()
    assert len(text.splitlines()) <= 150
    heavy = {name for name in imported(ast.parse(text)) if name.split(".")[0] in ("numpy", "pandas")}
    assert not heavy, f"{name_of(path)} imports {heavy}"
