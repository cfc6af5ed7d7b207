"""Ticked rows of a table. Streamlit keeps ticks by place, so a table whose rows change needs another key."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any


def key_of(name: str, rows: Iterable[str]) -> str:
    """Key of a table with these rows: with others, in number or order, it begins without ticks."""
    return f"{name}_{zlib.crc32(json.dumps(list(rows)).encode()):08x}"


def ticked(event: Any) -> list[int]:
    """Places of the ticked rows of what `st.dataframe` returned."""
    return [int(row) for row in event["selection"]["rows"]]
