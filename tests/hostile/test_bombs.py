"""Files that are small on disk and huge in memory, and paths that lead elsewhere: one clear error, in bounded
memory, at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bases
import damage
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probes import Recorder, Run, catalog, notes
from probes.errors import RunError
from probes.experiments import store
from probes.log import page_headers, rows
from probes.log.check import check
from probes.log.opening import DECODED_BYTES, FOOTER_BYTES, JSON_BYTES, LOCAL
from probes.log.segments import LARGEST

MEGABYTES = 1024
ROW_GROUPS = 100_000
PLACES = 60


def scalars(run: Path) -> Path:
    (path,) = (run / "scalars").iterdir()
    return path


def grid(run: Path) -> Path:
    return sorted((run / "neurons").iterdir())[0]


def many_row_groups(run: Path) -> None:
    """A hundred thousand row groups of one row: 5 MB of footer for each column."""
    path = scalars(run)
    schema = pa.schema(
        [field for field in pq.read_schema(path).remove_metadata() if field.name in ("step", "value")]
    )
    path.unlink()
    table = pa.table({"step": np.zeros(1, np.int64), "value": np.zeros(1)}, schema=schema)
    with pq.ParquetWriter(
        path, schema, store_schema=False, compression="none", write_statistics=False
    ) as writer:
        for _ in range(ROW_GROUPS):
            writer.write_table(table)


def constants(run: Path) -> None:
    """A file of 10 KB that unpacks to 800 MB."""
    path = scalars(run)
    damage.write_constants(path, damage.LONG_ROWS, "x")
    damage.promise_rows(path)


def long_text(run: Path) -> None:
    """One text of a megabyte in ten thousand rows, once in the file."""
    path = scalars(run)
    table = pq.ParquetFile(path).read().slice(0, 1)
    text = pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), 10_000), pa.array(["x" * 2**20])
    )
    table = pa.concat_tables([table] * 10_000).set_column(table.column_names.index("name"), "name", text)
    path.unlink()
    pq.write_table(table, path, store_schema=False)
    damage.promise_rows(path)


def lying_page(run: Path) -> None:
    """A page that says it unpacks to 2 GB, in a file whose footer is that of 50,000 rows."""
    path = scalars(run)
    table = pq.ParquetFile(path).read().slice(0, 1).replace_schema_metadata(None)
    rows = 50_000
    values = pa.array(np.random.default_rng(0).normal(size=rows))
    table = pa.concat_tables([table] * rows).set_column(
        table.column_names.index("value"), table.schema.field("value"), values
    )
    path.unlink()
    pq.write_table(table, path, compression="zstd", store_schema=False, use_dictionary=False)
    place = page_headers.column_chunk(pq.read_metadata(path), 0, table.column_names.index("value"))
    whole = bytearray(path.read_bytes())
    unpacked, packed = varint(2 * (2**31 - 1)), varint(2 * (place.end - place.begin))
    encodings = b"\x15\x00\x15\x00\x15\x06\x15\x06\x00"
    header = b"\x15\x00\x15" + unpacked + b"\x15" + packed + b"\x2c" + encodings + b"\x00"
    whole[place.begin : place.begin + len(header)] = header
    damage.replace(path, bytes(whole))
    damage.promise_rows(path)


def varint(number: int) -> bytes:
    return bytes([number & 127 | 128]) + varint(number >> 7) if number > 127 else bytes([number])


def sparse_manifest(run: Path) -> None:
    """A manifest of 300 MB."""
    damage.replace(run / "run.json", b"[")
    os.truncate(run / "run.json", 300 * 2**20)


def wide_layers(run: Path) -> None:
    """A layer of two billion neurons that no file holds."""
    content = json.loads((run / "run.json").read_bytes())
    content["layers"][0]["neurons"] = 2**31
    damage.replace(run / "run.json", json.dumps(content).encode())


def endless(run: Path) -> None:
    """A manifest that is a link to an endless device."""
    (run / "run.json").unlink()
    (run / "run.json").symlink_to("/dev/zero")


def unpromised(run: Path) -> None:
    """As many constants under a name that promises a few."""
    damage.write_constants(scalars(run), damage.LONG_ROWS, "x")


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "row groups": (many_row_groups, f"its footer has .* at most {FOOTER_BYTES / 2**20:.0f} MB"),
    "constants": (constants, f"20,000,000 rows .* at most {DECODED_BYTES / 2**20:.0f} MB"),
    "rows": (unpromised, f"holds {damage.LONG_ROWS:,} rows, its name promises .* at most"),
    "page": (lying_page, f"pages of more than {DECODED_BYTES / 2**20:.0f} MB"),
    "text": (long_text, "texts of 10,000 MB"),
    "manifest": (sparse_manifest, f"300 MB, a file of its kind has at most {JSON_BYTES / 2**20:.0f} MB"),
    "layers": (wide_layers, "2,147,483,714 neurons|2,147,483,651 neurons"),
    "device": (endless, "is a link"),
}
ASK = """
import json, sys
sys.path[:0] = sys.argv[2:]
import answers, peak
from pathlib import Path
found = answers.ask(Path(sys.argv[1]), thorough=True)
print(json.dumps([found, peak.megabytes()]))
"""


def asked(run: Path) -> tuple[dict[str, str], float]:
    """All answers of a run, from a process of its own, and the megabytes that it took at most."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", ASK, str(run), str(here), str(here.parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, peak = json.loads(done.stdout)
    return found, peak


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_in_bounded_memory(run: Path, kind: str) -> None:
    plant, words = BOMBS[kind]
    plant(run)
    found, peak = asked(run)
    assert peak < MEGABYTES
    refused = found["open"] if found["open"].startswith("RunError") else found["scalars"]
    assert refused.startswith("RunError")
    with pytest.raises(RunError, match=words):
        Run(run).scalars()
    assert found["check"] != "[]"


@pytest.mark.parametrize("folder", ["evaluation", "layers"])
def test_a_table_below_the_limits_is_checked_and_read_in_bounded_memory(run: Path, folder: str) -> None:
    """Twenty million rows of few columns under a name that promises them: `check` reads batches, steps are
    taken uncopied.
    """
    (path,) = (run / folder).iterdir()
    damage.write_constants(path, damage.LONG_ROWS, "x")
    damage.promise_rows(path)
    found, peak = asked(run)
    assert peak < MEGABYTES
    assert found["check"] != "[]"


def test_batches_hold_all_rows_in_order_and_few_at_a_time(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scalars(run)
    table = pq.ParquetFile(path).read().replace_schema_metadata(None)
    path.unlink()
    pq.write_table(table, path, row_group_size=4, store_schema=False)
    monkeypatch.setattr(rows, "BATCH_ROWS", 10)
    batches = list(rows.read_batches(LOCAL, str(path)))
    assert {batch.num_rows for batch in batches[:-1]} == {8}
    assert pa.concat_tables(batches)["value"].equals(table["value"])
    monkeypatch.setattr(rows, "BATCH_ROWS", 1)  # a row group is never cut
    assert max(batch.num_rows for batch in rows.read_batches(LOCAL, str(path))) == 4


def test_the_largest_file_that_is_read_stays_below_a_gigabyte(run: Path) -> None:
    """Just within the limit, every column of it read and made a frame."""
    path = scalars(run)
    table = pq.ParquetFile(path).read()
    width = 8 * 4 + 4 * 2
    rows = DECODED_BYTES // width
    repeated = pa.concat_tables(
        [table.replace_schema_metadata(None)] * (rows // table.num_rows)
    ).combine_chunks()
    path.unlink()
    pq.write_table(repeated, path, store_schema=False, compression="zstd")
    damage.promise_rows(path)
    code = "import sys; sys.path.insert(0, sys.argv[2]); import peak, probes;"
    code += "print(len(probes.Run(sys.argv[1]).scalars())); print(peak.megabytes())"
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(run), here], capture_output=True, text=True, check=True
    )
    count, peak = done.stdout.split()
    assert int(count) == repeated.num_rows
    assert float(peak) < MEGABYTES


@pytest.mark.parametrize("codec", ["zstd", "lz4", "none", "snappy"])
def test_pages_are_counted_as_the_footer_counts_them(tmp_path: Path, codec: str) -> None:
    """Where both are true: sizes without and with headers differ by the headers alone."""
    path = tmp_path / "some.parquet"
    texts = [f"text {number % 50}" * 30 for number in range(40_000)]
    table = pa.table(
        {"number": np.random.default_rng(0).normal(size=40_000), "text": texts, "constant": [1] * 40_000}
    )
    pq.write_table(table, path, compression=codec, row_group_size=15_000, data_page_size=20_000)
    metadata = pq.read_metadata(path)
    with pa.OSFile(str(path)) as file:
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                place = page_headers.column_chunk(metadata, group, index)
                sizes = list(page_headers._pages(file, place))
                headers = column.total_compressed_size - sum(packed for _, packed in sizes)
                assert page_headers.unpacked_bytes(file, place) == column.total_uncompressed_size - headers
                assert page_headers.unpacked_bytes(file, place) <= place.max_unpacked


# ---- paths that lead elsewhere


@pytest.fixture
def secret(tmp_path: Path, sound: Path) -> Path:
    """A run outside of the folder of runs."""
    bases.link_copy(sound, tmp_path / "elsewhere" / "secret")
    return tmp_path / "elsewhere" / "secret"


def test_a_run_that_is_a_link_out_of_its_folder_is_not_followed(run: Path, secret: Path) -> None:
    (run.parent / "innocent").symlink_to(secret)
    rows = catalog(run.parent).set_index("path")
    assert rows.loc[str(run), "error"] is None
    error = rows.loc[str(run.parent / "innocent"), "error"]
    assert "is a link that leaves its folder of runs" in error
    assert str(secret.parent) in error


def test_a_link_to_a_run_beside_it_is_a_run(run: Path) -> None:
    (run.parent / "latest").symlink_to(run.name)
    assert list(catalog(run.parent)["error"]) == [None, None]


@pytest.mark.parametrize(
    "name", ["run.json", "notes.json", "neurons", "pyramid", "experiments/study/settings.json"]
)
def test_a_link_inside_a_run_is_not_followed(run: Path, secret: Path, name: str) -> None:
    path = run / name
    path.rename(run / "moved")
    path.symlink_to(secret / name)
    readers: dict[str, Callable[[], object]] = {
        "notes.json": lambda: notes.read(run),
        "experiments/study/settings.json": lambda: store.load(run, "study"),
    }
    with pytest.raises(RunError, match="is a link"):
        readers.get(name, lambda: Run(run))()


def test_a_parquet_file_that_is_a_link_is_not_followed(run: Path, secret: Path) -> None:
    path = grid(run)
    path.unlink()
    path.symlink_to(secret / "neurons" / path.name)
    with pytest.raises(RunError, match="is a link"):
        _ = Run(run).history(0)
    assert any("is a link" in finding.what for finding in check(run))


def test_a_pipe_is_not_waited_for(run: Path) -> None:
    path = grid(run)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="is not a file"):
        _ = Run(run).history(0)


def test_notes_written_through_a_link_replace_the_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (run / "notes.json").unlink()
    (run / "notes.json").symlink_to(tmp_path / "precious")
    notes.write(run, ["tag"], "text")
    assert (tmp_path / "precious").read_text() == "precious"
    assert notes.read(run).tags == ("tag",)


# ---- names of files decide what counts


@pytest.mark.parametrize(
    "name",
    [
        f"{0:012d}-{LARGEST + 1:012d}.parquet",  # beyond what a browser's numbers tell apart
        "0000000000000-0000000000299.parquet",  # the same numbers, written otherwise
        "٠٠٠٠٠٠٠٠٠٠٠٠-٠٠٠٠٠٠٠٠٠٢٩٩.parquet",
        f"{299:012d}-{0:012d}.parquet",
    ],
)
def test_a_file_with_a_name_that_is_not_ours_is_no_file_of_the_log(run: Path, name: str) -> None:
    expected = Run(run).layer_summary()
    (run / "neurons" / name).write_bytes(b"whatever")
    assert Run(run).layer_summary().equals(expected)
    assert any(finding.where == f"neurons/{name}" for finding in check(run))


def test_files_that_overlap_are_named(run: Path) -> None:
    first = grid(run)
    os.link(first, first.with_name(f"{100:012d}-{280:012d}.parquet"))
    with pytest.raises(
        RunError, match=r"000000000000-000000000255\.parquet and 000000000100-000000000280\.parquet overlap"
    ):
        Run(run)


def test_a_file_under_another_s_name_is_told(run: Path) -> None:
    second = sorted((run / "neurons").iterdir())[1]
    second.rename(second.with_name(f"{300:012d}-{343:012d}.parquet"))
    with pytest.raises(RunError, match="its name promises others"):
        Run(run).history(0)


# ---- checksums


@pytest.mark.parametrize("folder", ["neurons", "pyramid/16", "layers", "scalars", "probe"])
def test_every_flipped_bit_of_a_page_or_a_footer_is_told_or_harmless(run: Path, folder: str) -> None:
    """A bit in each of many places, from the first page to the last byte."""
    path = sorted((run / folder).iterdir())[0]
    data = path.read_bytes()
    ask: dict[str, Callable[[Run], Any]] = {
        "neurons": lambda run: run.history(0),
        "pyramid/16": lambda run: run.history(0, max_points=10),
        "layers": Run.layer_summary,
        "scalars": Run.scalars,
        "probe": Run.probe,
    }
    read = ask[folder]
    expected = read(Run(run))
    told = []
    for place in np.linspace(4, len(data) - 1, PLACES).astype(int):
        changed = bytearray(data)
        changed[place] ^= 0x10
        damage.replace(path, bytes(changed))
        answer = _answer(lambda: read(Run(run)))
        if isinstance(answer, RunError):
            told.append(str(answer))
        else:
            assert answer.equals(expected)
    assert all(path.name in text for text in told)
    assert len(told) > PLACES / 2
    damage.replace(path, data)


def _answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RunError as error:
        return error


def test_a_file_that_another_program_wrote_anew_is_read(tmp_path: Path) -> None:
    """It took the checksum along, which is no longer its own."""
    with Recorder(tmp_path / "run", [{"name": "one", "neurons": 2}]) as recorder:
        for step in range(3):
            recorder.record(step, 0, mean=[0, 1], kl=[1, 2])
            recorder.scalar(step, "loss", step)
    expected = Run(tmp_path / "run").scalars()
    path = scalars(tmp_path / "run")
    pq.write_table(pq.read_table(path), path)
    assert Run(tmp_path / "run").scalars().equals(expected)


def test_a_file_without_checksums_is_read(run: Path) -> None:
    expected = Run(run).scalars()
    path = scalars(run)
    table = pq.ParquetFile(path).read().replace_schema_metadata(None)
    path.unlink()
    pq.write_table(table, path, store_schema=False)
    assert Run(run).scalars().equals(expected)
