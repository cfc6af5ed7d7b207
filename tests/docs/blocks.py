"""Fenced blocks of the documentation, and how what a reader has to fill in is filled in."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its document, the heading above it, the line it begins at, language and text."""

    document: str
    heading: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(document: str) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = (ROOT / document).read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = _FENCE.sub("", text[: match.start()])
        headings = re.findall(r"^#+ (.*)$", before, re.MULTILINE)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(document, headings[-1], line, match[1], match[2]))
    return found


def run_block(block: Block, space: dict[str, Any], filled: dict[str, str] | None = None) -> dict[str, Any]:
    """Execute a Python block in the namespace `space` and return it.

    filled: what stands for each `...`, as an expression or statements: by the name that is assigned or the
    keyword ("loss", "mu, sigma"), or, for a statement of its own, "in def" or "in with". Every `...` needs
    one, and every one a `...`.
    """
    tree = ast.parse(block.text, block.place)
    filler = _Filler(filled or {})
    tree = ast.fix_missing_locations(filler.visit(tree))
    assert filler.used == set(filled or {}), (
        f"{block.place} has no `...` for {set(filled or {}) - filler.used}"
    )
    exec(compile(tree, block.place, "exec"), space)
    return space


class _Filler(ast.NodeTransformer):
    """Replaces `...` by what a reader would write there."""

    def __init__(self, filled: dict[str, str]) -> None:
        self.filled, self.used = filled, set()
        self.inside = ["in module"]

    def _take(self, key: str) -> str:
        self.used.add(key)
        return self.filled[key]

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if _is_dots(node.value):
            node.value = ast.parse(self._take(ast.unparse(node.targets[0]).strip("()")), mode="eval").body
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if _is_dots(node.value) and node.arg:
            node.value = ast.parse(self._take(node.arg), mode="eval").body
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        if _is_dots(node.value):
            return ast.parse(textwrap.dedent(self._take(self.inside[-1])) + "\n").body
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._within(node, "in def")

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._within(node, "in with")

    def _within(self, node: ast.AST, place: str) -> ast.AST:
        self.inside.append(place)
        node = self.generic_visit(node)
        self.inside.pop()
        return node


def _is_dots(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...
