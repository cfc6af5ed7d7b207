"""Which way modules may depend on each other, read from their imports. docs/how_to_add.md has the picture."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("probes", "vdn", "pages")
CORE = (
    "neuron", "priors", "network", "encoders", "objective", "control", "controller", "scores",
    "data", "config", "heads", "scan", "sequence_layer", "sequence", "continuing", "transformer",
)  # fmt: skip
"""Modules of vdn that compute: what trains, evaluates and is called from a command line may record as
well.
"""

EXPERIMENTS = tuple(
    f"probes.experiments.{path.stem}"
    for path in sorted((ROOT / "probes" / "experiments").glob("[a-z]*"))
    if path.stem != "store"
)
"""All but the store of results, which knows none of them: watching leaves what a decoder made there."""

FORBIDDEN = (
    # importer, what it must not import
    ("probes", ("vdn", "pages", "streamlit", "app")),
    ("vdn", ("pages", "streamlit", "app")),
    *((f"vdn.{name}", ("probes",)) for name in CORE),
    ("pages", ("vdn", "torch", "probes.log", "probes.recorder", "probes.watching", "probes.moments")),
    ("pages.shell", ("app",)),
    ("pages.shell.widgets", ("pages.shell.frame",)),
    ("pages.shell.data", ("pages.shell.frame", "pages.shell.server", "pages.shell.widgets")),
    (
        "pages.shell.session",
        ("pages.shell.frame", "pages.shell.server", "pages.shell.widgets", "pages.shell.data"),
    ),
    ("pages.shell.frame", ("pages.shell.widgets", "pages.shell.data", "pages.shell.server")),
    ("pages.shell.server", ("pages.shell.frame", "pages.shell.widgets", "pages.shell.data")),
    ("probes.families", ("probes.schema", "probes.moments", "torch", "pandas", "pyarrow")),
    ("probes.schema", ("torch", "pandas", "pyarrow", "plotly")),
    ("probes.storage", ("probes.log", "probes.run", "probes.recorder", "probes.schema")),
    (
        "probes.log",
        (
            "probes.run", "probes.recorder", "probes.watching", "probes.moments", "probes.figures",
            "probes.analysis",
            "probes.export", "probes.experiments", "torch", "plotly",
        ),
    ),
    ("probes.run", ("probes.recorder", "probes.watching", "probes.moments", "probes.figures", "torch")),
    (
        "probes.recorder",
        ("probes.run", "probes.watching", "probes.moments", "probes.figures", "torch", "plotly"),
    ),
    ("probes.moments", ("probes.recorder", "probes.run", "probes.log", "probes.watching")),
    (
        "probes.moment_sums",
        ("probes.recorder", "probes.run", "probes.log", "probes.watching", "probes.moments"),
    ),
    ("probes.family_moments", ("probes.recorder", "probes.run", "probes.log", "probes.watching")),
    (
        "probes.watching",
        ("probes.run", "probes.figures", "probes.analysis", "probes.export", *EXPERIMENTS),
    ),
    (
        "probes.analysis",
        ("probes.figures", "probes.canvas", "probes.export", "probes.watching", "torch", "plotly"),
    ),
    ("probes.figures", ("probes.canvas", "probes.export", "probes.log", "probes.watching", "torch")),
    ("probes.canvas", ("probes.export", "probes.log", "probes.watching", "torch", "pyarrow")),
)  # fmt: skip

TORCH = (
    "probes.control",
    "probes.inputs",
    "probes.snapshot",
    "probes.moments",
    "probes.moment_sums",
    "probes.family_moments",
    "probes.persistence",
    "probes.effective_rows",
    "probes.precision",
    "probes.sequence_moments",
    "probes.watching",
    "probes.integrations",
    "probes.experiments",
    "probes.synthetic",
    "probes.synthetic_families",
)
"""Where in probes torch is imported; reading, drawing and recording work without it."""


def sources() -> list[Path]:
    return [ROOT / "app.py", *(path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")))]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, ast.Module]:
    return {module_of(path): ast.parse(path.read_text()) for path in sources()}


@cache
def imports(module: str, only_at_import: bool = False) -> frozenset[str]:
    """What a module imports: modules, and of `from package import module` the module. Typing alone does not
    count.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if only_at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                assert child.level == 0, f"{module}: relative import"
                whole = {f"{child.module}.{alias.name}" for alias in child.names}
                found.update(whole & modules().keys() or {child.module})
                if whole - modules().keys():
                    found.add(child.module)
            visit(child)

    visit(modules()[module])
    return frozenset(found)


def within(module: str, packages: str | Iterable[str]) -> bool:
    names = (packages,) if isinstance(packages, str) else packages
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize(
    ("importer", "forbidden"), FORBIDDEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_dependence_points_one_way(importer: str, forbidden: tuple[str, ...]) -> None:
    own = [module for module in modules() if within(module, importer)]
    assert own, f"{importer} is no module any more: correct this list"
    wrong = {f"{module} -> {name}" for module in own for name in imports(module) if within(name, forbidden)}
    assert not wrong


def test_no_module_imports_itself_by_a_circle() -> None:
    graph = {
        module: {
            name for name in imports(module, only_at_import=True) if name in modules() and name != module
        }
        for module in modules()
    }
    left = dict(graph)
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"these import each other: {sorted(left)}"


def test_only_pages_and_the_app_import_streamlit() -> None:
    users = {module for module in modules() if any(within(name, "streamlit") for name in imports(module))}
    assert users
    assert {module for module in users if not within(module, ("app", "pages"))} == set()


def test_torch_is_imported_where_tensors_are() -> None:
    users = {
        m for m in modules() if within(m, "probes") and any(within(name, "torch") for name in imports(m))
    }
    assert {module for module in users if not within(module, TORCH)} == set()


def test_what_only_prepares_data_draws_no_widgets() -> None:
    """pages/shell/data asks Streamlit for its caches alone."""
    wrong = []
    for module, tree in modules().items():
        if within(module, "pages.shell.data"):
            wrong += [
                f"{module}: st.{node.attr}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "st"
                and node.attr not in ("cache_data", "cache_resource")
            ]
    assert not wrong


def test_pages_compose() -> None:
    """A page is short, imports no other page, and leaves arithmetic of arrays and tables to the shell."""
    for path in (ROOT / "pages").glob("*.py"):
        used = imports(module_of(path))
        assert len(path.read_text().splitlines()) <= 150, path.name
        assert not {name for name in used if within(name, ("numpy", "pandas"))}, path.name
        others = {name for name in used if within(name, "pages") and not within(name, "pages.shell")}
        assert not others, path.name
