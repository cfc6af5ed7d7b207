"""The documentation's site: `make docs` writes it to build/site. No page asks another host for anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_site")]  # the package as it is here; its extensions

import probes  # noqa: E402

project = "vdn"
author = "the project's authors"
copyright = author
version = release = probes.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "drawn_figures",
    "notebook_page",
]
exclude_patterns = ["_site"]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4  # the anchors that the files have where they are read as they are

autodoc_typehints = "signature"
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"vdn {release}"
html_static_path = ["_site/style.css"]
html_extra_path = [
    str(file) for kind in ("*.png", "*.webp") for file in DOCS.glob(kind)
]  # pictures named in HTML
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": False, "footer_icons": []}


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(convert(node.astext()))
    raise SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app: Sphinx) -> None:
    """Formulas become MathML as the site is built: browsers draw it without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
