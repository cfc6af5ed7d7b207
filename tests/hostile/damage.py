"""What may be wrong with a run's files: each kind of damage changes one file (or name) of a run's folder, by
a seed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from probes.log import segments

Random = random.Random
NASTY_TEXT = (
    "", "../../etc/passwd", "<script>alert(1)</script>", "a" * 300, "\n", "\x00", "\u202e", "🧠", "'\"; --",
    "NaN", "\ud800",
    "1", "%s%n", "$(id)", "None", "2026-13-45T99:99:99", "0001-01-01T00:00:00",
)  # fmt: skip
NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**70), 10**400, 1e308, -1e308, float("nan"),
    float("inf"), [], {}, [[]],
    [None], {"": None}, [1, "a"], {"neurons": -1}, *NASTY_TEXT,
)  # fmt: skip
NASTY_NUMBERS = (0, -1, 1, 2**15 - 1, 2**31 - 1, 2**53 + 1, 2**62, -(2**63), 2**63 - 1)
SMALL_GROUPS = 500
LONG_ROWS = 20_000_000  # of constants: some KB on disk


def parquet_files(run: Path) -> list[Path]:
    return sorted(run.rglob("*.parquet"))


def json_files(run: Path) -> list[Path]:
    return sorted(run.rglob("*.json"))


def replace(path: Path, data: bytes) -> None:
    """Another content under the same name; the old file may be a hard link of others."""
    path.unlink()
    path.write_bytes(data)


# ---- bytes: what a disk or a copy does


def truncate(r: Random, data: bytes) -> bytes:
    return data[: r.randrange(len(data))]


def flip_bits(r: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(r.choice((1, 1, 1, 2, 8, 64))):
        changed[_place(r, len(data))] ^= 1 << r.randrange(8)
    return bytes(changed)


def overwrite(r: Random, data: bytes) -> bytes:
    begin, length = _place(r, len(data)), r.choice((1, 4, 16, 256, 4096))
    filler = r.choice((b"\0", b"\xff", r.randbytes(1))) * length if r.random() < 0.7 else r.randbytes(length)
    return (data[:begin] + filler + data[begin + length :])[: len(data)]


def cut_out(r: Random, data: bytes) -> bytes:
    begin = _place(r, len(data))
    return data[:begin] + data[begin + r.choice((1, 8, 100, 5000)) :]


def double(r: Random, data: bytes) -> bytes:
    begin = _place(r, len(data))
    return data[:begin] + data[begin : begin + 1000] + data[begin:]


def empty(r: Random, data: bytes) -> bytes:
    return b""


def noise(r: Random, data: bytes) -> bytes:
    return (
        b"PAR1"
        + r.randbytes(r.randrange(2000))
        + r.choice((b"PAR1", b"\x10\0\0\0PAR1", b"\xff\xff\xff\x7fPAR1"))
    )


def append(r: Random, data: bytes) -> bytes:
    return data + r.choice((b"\0" * 100, data, data[-8:], b"PAR1"))


def _place(r: Random, size: int) -> int:
    """A position, often in the footer, which is a small part of a file and decides about all of it."""
    return r.randrange(size) if r.random() < 0.6 else size - 1 - r.randrange(min(size, 4000))


BYTES: dict[str, Callable[[Random, bytes], bytes]] = {
    f.__name__: f for f in (truncate, flip_bits, overwrite, cut_out, double, empty, noise, append)
}


# ---- tables: what another program writes under the same name


def _column(r: Random, table: pa.Table) -> int:
    return r.randrange(table.num_columns)


def drop_column(r: Random, table: pa.Table) -> pa.Table:
    return table.remove_column(_column(r, table))


def rename_column(r: Random, table: pa.Table) -> pa.Table:
    names = list(table.column_names)
    names[_column(r, table)] = r.choice((*names, *(text for text in NASTY_TEXT if text.isprintable())))
    return table.rename_columns(names)


def add_column(r: Random, table: pa.Table) -> pa.Table:
    rows = table.num_rows
    values = r.choice(
        ([None] * rows, ["x"] * rows, [[1]] * rows, [{"a": 1}] * rows, [b"\xff"] * rows, [1.0] * rows)
    )
    return table.append_column(r.choice(("extra", "kl_min", "regime_0", "text")), pa.array(values))


def change_type(r: Random, table: pa.Table) -> pa.Table:
    index, rows = _column(r, table), table.num_rows
    kinds = (
        pa.float64(),
        pa.string(),
        pa.int8(),
        pa.uint64(),
        pa.bool_(),
        pa.timestamp("us"),
        pa.binary(),
        pa.decimal128(9, 2),
    )
    kind = r.choice(kinds)
    value = {pa.string(): "1", pa.binary(): b"\xff\xfe", pa.bool_(): True}.get(kind, 1)
    return table.set_column(index, table.column_names[index], pa.array([value] * rows, kind))


def nulls(r: Random, table: pa.Table) -> pa.Table:
    index = _column(r, table)
    kind = table.schema.field(index).type
    mask = np.asarray([r.random() < 0.5 for _ in range(table.num_rows)], bool)
    values = pa.array(table.column(index).to_pylist(), kind).filter(pa.array(~mask)).to_pylist()
    filled = iter(values)
    return table.set_column(
        index, table.column_names[index], pa.array([None if m else next(filled) for m in mask], kind)
    )


def extremes(r: Random, table: pa.Table) -> pa.Table:
    """NaN or infinity everywhere, or keys that cannot be."""
    index = _column(r, table)
    kind = table.schema.field(index).type
    if pa.types.is_floating(kind):
        every = r.random() < 0.5
        value = r.choice((np.nan, np.inf, -np.inf, 3e38, 0.0, -1.0))
        for place, field in enumerate(table.schema):
            if place == index or (every and pa.types.is_floating(field.type)):
                table = table.set_column(
                    place, field.name, pa.array(np.full(table.num_rows, value), field.type)
                )
        return table
    if pa.types.is_integer(kind):
        values = table.column(index).to_numpy().copy()
        bits = values.dtype.itemsize * 8
        number = r.choice([n for n in NASTY_NUMBERS if -(2 ** (bits - 1)) <= n < 2 ** (bits - 1)])
        values[0 if r.random() < 0.5 else r.randrange(max(len(values), 1)) :] = number
        return table.set_column(index, table.column_names[index], pa.array(values))
    texts = [text for text in NASTY_TEXT if text != "\ud800"]
    return table.set_column(
        index, table.column_names[index], pa.array([r.choice(texts) for _ in range(table.num_rows)])
    )


def shuffle(r: Random, table: pa.Table) -> pa.Table:
    return table.take(np.random.default_rng(r.randrange(2**32)).permutation(table.num_rows))


def some_rows(r: Random, table: pa.Table) -> pa.Table:
    rows = r.choice((0, 1, max(table.num_rows - 1, 0), table.num_rows // 2))
    return pa.concat_tables([table.slice(0, rows)] * r.choice((1, 1, 2, 3)))


def unchanged(r: Random, table: pa.Table) -> pa.Table:
    return table


TABLES: dict[str, Callable[[Random, pa.Table], pa.Table]] = {
    f.__name__: f
    for f in (
        drop_column,
        rename_column,
        add_column,
        change_type,
        nulls,
        extremes,
        shuffle,
        some_rows,
        unchanged,
    )
}


def write_like(r: Random, table: pa.Table, path: Path, groups: list[int]) -> None:
    """A table in the file's place: in its row groups, in one, or in hundreds; with statistics or without."""
    path.unlink()
    style = r.choice(("same", "same", "same", "one", "many"))
    if style == "many":
        groups = [max(1, table.num_rows // SMALL_GROUPS)] * SMALL_GROUPS
    elif style == "one":
        groups = []
    statistics = r.random() < 0.9
    codec = r.choice(("lz4", "zstd", "none", "snappy", "gzip"))
    with pq.ParquetWriter(path, table.schema, compression=codec, write_statistics=statistics) as writer:
        begin = 0
        for size in groups:
            writer.write_table(table.slice(begin, size))
            begin += size
        writer.write_table(table.slice(begin))


# ---- bombs: little on disk, much in memory


def bomb(r: Random, path: Path) -> None:
    """A constant in 20 million rows, or a long text in half a million; half of them under a name that
    promises as many.
    """
    long = any(_is_text(field.type) for field in pq.read_schema(path)) and r.random() < 0.5
    write_constants(path, *((500_000, "x" * 10_000) if long else (LONG_ROWS, "x")))
    if segments.parse(path.name) and r.random() < 0.5:
        promise_rows(path)


def promise_rows(path: Path) -> Path:
    """The file under a name that promises the rows that it holds."""
    return path.rename(path.with_name(segments.Segment(0, pq.read_metadata(path).num_rows - 1).name))


def write_constants(path: Path, rows: int, text: str) -> None:
    """In the file's place one with its columns, one value each in all rows: 1, or the text."""
    schema = pq.read_schema(path).remove_metadata()
    path.unlink()
    pieces = 20
    columns = {}
    for field in schema:
        value = pa.array([text if _is_text(field.type) else 1], field.type)
        columns[field.name] = pa.DictionaryArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), rows // pieces), value
        )
    batch = pa.table(columns)
    with pq.ParquetWriter(path, batch.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(pa.concat_tables([batch] * pieces), row_group_size=rows)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


# ---- JSON


def change_json(r: Random, path: Path) -> None:
    """One value of a file replaced, added or taken away; or another text altogether."""
    style = r.random()
    if style < 0.15:
        texts = (
            "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "9" * 10_000, "null", "[]", '"x"', "", "\xff",
            '{"format": "1.0"}',
            '{"format": "9.0"}', "{" + " " * 9_000_000 + "}",
            '{"format":"1.1","layers":[' + "[]," * 500_000 + "[]]}",
        )  # fmt: skip
        return replace(path, r.choice(texts).encode("latin-1"))
    content = json.loads(path.read_bytes())
    for _ in range(r.choice((1, 1, 1, 3))):
        _change(r, content)
    text = json.dumps(content)
    if r.random() < 0.1:
        text = text.replace(": ", r.choice((': 1e999, "x": ', ': NaN, "y": ', ":")), 1)
    replace(path, text.encode())


def _change(r: Random, content: Any) -> None:
    """Walk down at random and change what is there."""
    while isinstance(content, dict | list) and content:
        key = r.choice(list(content)) if isinstance(content, dict) else r.randrange(len(content))
        if isinstance(content[key], dict | list) and content[key] and r.random() < 0.6:
            content = content[key]
            continue
        action = r.random()
        if action < 0.15:
            del content[key]
        elif action < 0.25 and isinstance(content, dict):
            content[r.choice(NASTY_TEXT)] = deepcopy(r.choice(NASTY))
        else:
            content[key] = deepcopy(r.choice(NASTY))
        return


# ---- names and links


def change_name(r: Random, run: Path) -> None:
    """A file under another name, a folder in a file's place, a link, a pipe."""
    path = r.choice([*parquet_files(run), *json_files(run)])
    style = r.choice(
        (
            "rename",
            "rename",
            "copy",
            "folder",
            "link",
            "outside",
            "pipe",
            "loop",
            "folder link",
            "remove",
            "file",
        )
    )
    if style in ("rename", "copy"):
        first, last = r.choice(NASTY_NUMBERS + (5,)), r.choice(NASTY_NUMBERS + (299,))
        arabic = "٠" * 12 + "-" + "٠" * 12 + ".parquet"  # digits, but none of ours
        names = (f"{first:012d}-{last:012d}.parquet", f"{path.stem}0.parquet", arabic, "x" * 200, "a\nb")
        target = path.with_name(r.choice(names))
        shutil.copy(path, target) if style == "copy" else path.rename(target)
        return
    folders = [
        folder
        for folder in (run / "neurons", run / "pyramid", run / "experiments", path.parent)
        if folder.is_dir()
    ]
    if style in ("folder link", "file"):
        folder = r.choice([folder for folder in folders if folder != run])
        shutil.rmtree(folder)
        if style == "file":
            folder.write_text("not a folder")
        else:
            folder.symlink_to(r.choice(("/etc", "/proc/self", "..", "/nowhere")))
        return
    content = path.read_bytes()
    path.unlink()
    if style == "folder":
        path.mkdir()
    elif style == "pipe":
        os.mkfifo(path)
    elif style == "loop":
        path.symlink_to(path.name)
    elif style == "link":
        inside = path.with_name("real")
        inside.write_bytes(content)
        path.symlink_to(inside.name)
    elif style != "remove":
        path.symlink_to(r.choice(("/dev/zero", "/etc/passwd", "/proc/self/mem", "/nowhere", "/dev/stdin")))
