"""Fails if a page of a built site loads anything from another host: python docs/_site/outside.py SITE

Links that a reader may follow are no loads. In scripts any quoted address counts but the W3C's namespaces.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HOST = r"(?:https?:)?//[\w.-]+\.\w+"
PAGE = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object|image|use)\b[^>]*?"
    rf"\b(?:src|srcset|data|href)\s*=\s*[\"']?\s*{HOST}"
    rf"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\bhref\s*=\s*[\"']?\s*{HOST}",
    re.IGNORECASE,
)
STYLE = re.compile(rf"url\(\s*[\"']?\s*{HOST}|@import\s+[\"']{HOST}", re.IGNORECASE)
SCRIPT = re.compile(r"[\"'`]\s*https?://(?!www\.w3\.org/)[\w.-]+\.\w+", re.IGNORECASE)
SEARCHED = {".html": (PAGE, STYLE), ".svg": (PAGE, STYLE), ".css": (STYLE,), ".js": (SCRIPT,)}


def loads(site: Path) -> list[str]:
    """What is loaded from elsewhere, as "FILE: the place". searchindex.js is left out: the pages' text."""
    found = []
    for file in sorted(site.rglob("*")):
        if file.name == "searchindex.js":
            continue
        for pattern in SEARCHED.get(file.suffix, ()):
            for match in pattern.finditer(file.read_text("utf-8")):
                found.append(f"{file.relative_to(site)}: {match[0][:120]}")
    return found


def main(folder: str) -> int:
    """Prints what is loaded from elsewhere; 1 if anything is, or if there is no page."""
    site = Path(folder)
    found = loads(site)
    print("\n".join(found), end="\n" if found else "")
    return int(bool(found) or not (site / "index.html").exists())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
