"""Files as people have them: read right, or refused in one line that names the line and the remedy."""

import bz2
import calendar
import csv
import gzip
import io
import lzma

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vdn.records import DataError
from vdn.table import Dialect, read_table

HOURS = [f"2020-01-{1 + i // 24:02d} {i % 24:02d}:00" for i in range(60)]
LOAD = [round(20 + np.sin(i / 5), 3) for i in range(60)]
PRICE = [round(7 + np.cos(i / 3), 2) for i in range(60)]


def table(tmp_path, text, name="file.csv", encoding="utf-8", **flags):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_table(path, Dialect(**flags))


def rows(*columns, sep=",", head="date,load,price", times=HOURS):
    lines = [sep.join(map(str, row)) for row in zip(times, *columns, strict=True)]
    return "\n".join([head.replace(",", sep), *lines]) + "\n"


def comma(values):
    return [str(value).replace(".", ",") for value in values]


def assert_read(found, names=("load", "price"), values=(LOAD, PRICE)):
    assert found.names == list(names)
    np.testing.assert_allclose(found.values, np.column_stack(values))


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_a_separator_is_found(tmp_path, sep):
    found = table(tmp_path, rows(LOAD, PRICE, sep=sep))
    assert_read(found)
    assert found.times[0] == pd.Timestamp("2020-01-01")
    assert found.sentence.startswith(
        "file.csv: 60 rows of 2 series (load, price); 2020-01-01 to 2020-01-03 11:00, step 1 h"
    )


def test_columns_between_spaces(tmp_path):
    text = "  day clock load   price\n" + "".join(
        f" {t}   {a:7.3f}  {b:6.2f} \n" for t, a, b in zip(HOURS, LOAD, PRICE, strict=True)
    )
    found = table(tmp_path, text)
    assert_read(found)
    assert found.times[1] == pd.Timestamp("2020-01-01 01:00")


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_decimal_commas(tmp_path, sep):
    found = table(tmp_path, rows(comma(LOAD), comma(PRICE), sep=sep))
    assert_read(found)
    assert "decimal comma" in found.sentence


def test_quoted_decimal_commas(tmp_path):
    assert_read(table(tmp_path, rows([f'"{v}"' for v in comma(LOAD)], [f'"{v}"' for v in comma(PRICE)])))


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1.234,5", 1234.5),
        ('"1,234.5"', 1234.5),
        ("1'234.5", 1234.5),
        ("1\u202f234,5", 1234.5),
        ("1 234,50", 1234.5),
        ("-1.234.567,25", -1234567.25),
        ("\u22123,5", -3.5),
        ("1.5D+03", 1500),
        ("+2.5e-3", 0.0025),
        (".5", 0.5),
    ],
)
def test_numbers_as_people_write_them(tmp_path, cell, value):
    other = "2.5" if "," not in cell.strip('"').replace("1,234.5", "") else "2,5"
    found = table(tmp_path, f"load;price\n{cell};{other}\n{other};{other}\n{other};{other}\n")
    np.testing.assert_allclose(found.values[0], [value, 2.5])


def test_thousands_that_may_be_decimals_are_refused_until_told(tmp_path):
    text = "date;load\n2020-01-01;1,234\n2020-01-02;2,345\n2020-01-03;3,456\n"
    with pytest.raises(DataError, match=r"line 2: '1,234' in 'load' may have .*--decimal , or --decimal \."):
        table(tmp_path, text)
    assert table(tmp_path, text, decimal=",").values[0, 0] == 1.234
    assert table(tmp_path, text, decimal=".").values[0, 0] == 1234


def test_three_digits_after_a_point_are_decimals_unless_a_comma_is_proved(tmp_path):
    assert table(tmp_path, "a;b\n1.234;2\n2.345;3\n4.567;4\n").values[0, 0] == 1.234
    assert table(tmp_path, "a;b\n1.234;2,5\n2.345;3,5\n4.567;4,5\n").values[0].tolist() == [1234, 2.5]


def test_points_and_commas_in_one_file_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"line 2: '1\.25' in 'a' has a decimal point, '2,5' in 'b' \(line 3\)"
    ):
        table(tmp_path, "a;b\n1.25;2\n2.35;2,5\n")


def test_per_cent_signs(tmp_path):
    found = table(tmp_path, rows([f"{v} %" for v in LOAD], PRICE))
    assert_read(found)
    assert "per cent sign of load taken off" in found.sentence
    with pytest.raises(DataError, match=r"line 3: '20\.199' in column 'load' has no per cent sign"):
        table(
            tmp_path,
            rows([LOAD[0], *LOAD[1:]][:1] + LOAD[1:2] + [f"{v}%" for v in LOAD[2:]], PRICE).replace(
                "20.0,", "20.0%,", 1
            ),
        )


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-be", ""), ("cp1252", "\u20ac")],
)
def test_encodings(tmp_path, encoding, mark):
    text = rows(LOAD, PRICE, head=f"date,load,Höhe{mark}")
    found = table(tmp_path, text, encoding=encoding)
    assert_read(found, ("load", f"Höhe{mark}"))
    assert ("Latin-1" in found.sentence) == (encoding == "cp1252")


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed(tmp_path, suffix, pack):
    packed = pack(rows(LOAD, PRICE).encode())
    found = table(tmp_path, packed, f"file.csv.{suffix}")
    assert_read(found)
    assert found.size == len(packed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"PK\x03\x04rest", "Excel workbook"),
        (b"PAR1rest", "Parquet"),
        (b"\x00\x01\x02" * 40, "bytes that are no text"),
        (b"name,city\na,b\nc,d\ne,f\n", "no column of numbers"),
        (b"date,load\n", "no rows under the header"),
        (b'date,load\n2020-01-01,"1\n2020-01-02,2\n', "line 3.*is a quote left open"),
        (b"date,load,load\n2020-01-01,1,2\n2020-01-02,2,3\n", "2 columns are called 'load'"),
        (
            b"date,load\n2020-01-01,1\n2020-01-02,2,3\n2020-01-03,1\n",
            "line 3: 3 fields where the header has 2",
        ),
        (
            b"date,load\n2020-01-01,1\n2020-01-02,2\n2020-01-03,1\nSource: ministry\n",
            "line 5: one field, 'Source",
        ),
        (
            b"date,load\n2020-01-01,1\n2020-01-02,\n2020-01-03,1\n",
            "line 3: column 'load' has a gap at data row 2:",
        ),
        (
            b"date,load\n2020-01-01,1\n2020-01-02,?\n2020-01-03,1\n",
            r"line 3: column 'load' has a gap \('\?'\) at data row 2",
        ),
        (
            b"date,load\n2020-01-01,1\n2020-01-02,broken\n2020-01-03,1\n",
            "line 3.*'broken', which is no number, at data row 2",
        ),
        (b"date,load\n2020-01-01,1\nsoon,2\n2020-01-03,1\n", "line 3: 'soon' is no time that can be read"),
        (b"date,load\n2020-01-01,1\n,2\n2020-01-03,1\n", "line 3: no time, column 'date'"),
        (b"date,load\n2020-01-01,1\n2020-01-02,inf\n2020-01-03,1\n", "line 3: column 'load' has 'inf'"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, content)
    assert "\n" not in str(error.value)
    assert "file.csv" in str(error.value)


def test_a_folder_a_missing_file_and_a_name_that_cannot_be(tmp_path):
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "no.csv", "no such file"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (tmp_path / "a\0b", "no such file"),
    ):
        with pytest.raises(DataError, match=message):
            read_table(path)


def test_a_matrix_without_a_header_keeps_its_first_row(tmp_path):
    text = "\n".join(f"{a},{b}" for a, b in zip(LOAD, PRICE, strict=True))
    found = table(tmp_path, text)
    assert_read(found, ("1", "2"))
    assert "no header" in found.sentence
    assert_read(table(tmp_path, text, header="none"), ("1", "2"))
    with_times = "\n".join(f"{t},{a}" for t, a in zip(HOURS, LOAD, strict=True))
    assert_read(table(tmp_path, with_times), ("2",), (LOAD,))


def test_numbers_as_names(tmp_path):
    frame = pd.DataFrame(np.column_stack([LOAD, PRICE]))
    assert_read(table(tmp_path, frame.to_csv(index=False)), ("0", "1"))
    assert_read(table(tmp_path, frame.to_csv()), ("0", "1"))
    years = "2019,2020\n" + "\n".join(f"{a},{b}" for a, b in zip(LOAD, PRICE, strict=True))
    assert_read(table(tmp_path, years, header="first"), ("2019", "2020"))


def test_units_a_preamble_comments_and_excels_first_line(tmp_path):
    text = rows(LOAD, PRICE).replace("date,load,price\n", "date,load,price\n,kW,EUR/MWh\n")
    found = table(tmp_path, "# from the meter\nStation 12\n\n" + text)
    assert_read(found)
    assert "line 5 taken for units" in found.sentence
    assert "1 comment line skipped" in found.sentence
    assert "1 line above the header skipped" in found.sentence
    assert_read(table(tmp_path, "sep=;\n" + rows(LOAD, PRICE, sep=";")))


def test_empty_columns_and_lines_are_left_out(tmp_path):
    text = rows([f"{v},," for v in LOAD], head="date,load,,", times=HOURS).replace("\n", "\n\n")
    found = table(tmp_path, text)
    assert_read(found, ("load",), (LOAD,))
    assert found.left_out == {"column 3": "empty", "column 4": "empty"}


def test_a_column_of_words_is_named(tmp_path):
    found = table(tmp_path, rows(LOAD, ["north, left"] * 60).replace(",north, left", ',"north, left"'))
    assert_read(found, ("load",), (LOAD,))
    assert found.left_out == {"price": "text, such as 'north, left'"}
    with pytest.raises(DataError, match="line 2: column 'price' holds 'north' and the like, no numbers"):
        table(tmp_path, rows(LOAD, ["north"] * 60), columns="price")


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("", range(60)),
        ("Unnamed: 0", range(60)),
        ("index", range(1, 61)),
        ("YEAR", range(1821, 1881)),
        ("unix", range(1_577_836_800, 1_577_836_800 + 60 * 3600, 3600)),
        ("unix", [1_577_836_800 + i * i for i in range(60)]),
        ("timestamp_ms", range(1_577_836_800_000, 1_577_836_800_000 + 60_000, 1000)),
        ("Zeit", HOURS),
        ("ds", [t.replace(" ", "T") + ":00Z" for t in HOURS]),
        ("serial", range(43831, 43891)),
        ("date", [20200101 + i % 28 + 100 * (i // 28) for i in range(60)]),
        ("month", [f"{2000 + i // 12}-{1 + i % 12:02d}" for i in range(60)]),
        ("quarter", [f"{2000 + i // 4}Q{1 + i % 4}" for i in range(60)]),
        ("d", [f"{1 + i // 24}.3.2020 {i % 24}:00" for i in range(60)]),
        ("d", [f"{1 + i // 24}/3/20 {(i + 11) % 12 + 1}:00 {'AP'[i % 24 // 12]}M" for i in range(60)]),
        (
            "d",
            [f"13-{month}-{year}" for year in range(2000, 2005) for month in calendar.month_abbr[1:]],
        ),
    ],
)
def test_a_column_of_times_is_no_series(tmp_path, head, times):
    found = table(tmp_path, rows(LOAD, PRICE, head=f"{head},load,price", times=times))
    assert_read(found)


def test_a_quantity_of_that_name_is_one(tmp_path):
    assert_read(table(tmp_path, rows(LOAD, PRICE, head="date,T,time")), ("T", "time"))
    text = "\n".join(["T,RH", *(f"{a},{b}" for a, b in zip(LOAD, PRICE, strict=True))])
    assert_read(table(tmp_path, text), ("T", "RH"))
    assert_read(
        table(tmp_path, rows(LOAD, PRICE, head="Date,T,RH"), columns="RH, T"), ("RH", "T"), (PRICE, LOAD)
    )
    counter = rows(LOAD, PRICE, head="n,load,price", times=range(60))
    assert table(tmp_path, counter, columns="n").names == ["n"]
    assert table(tmp_path, counter, time="none").names == ["n", "load", "price"]


def test_date_and_clock_in_two_columns(tmp_path):
    lines = [f"{13 + i // 24}/12/2006;{i % 24:02d}:30:00;{v}" for i, v in enumerate(LOAD)]
    found = table(tmp_path, "Date;Time;load\n" + "\n".join(lines))
    assert_read(found, ("load",), (LOAD,))
    assert found.times[-1] == pd.Timestamp("2006-12-15 11:30")
    pointed = "Date;Clock;load\n" + "\n".join(lines).replace(":", ".")
    assert table(tmp_path, pointed).times[-1] == pd.Timestamp("2006-12-15 11:30")
    assert table(tmp_path, pointed, time="Date,Clock").times[-1] == pd.Timestamp("2006-12-15 11:30")


def test_a_time_in_columns_of_its_parts(tmp_path):
    lines = [f"{i + 1},2010,1,{1 + i // 24},{i % 24},{v}" for i, v in enumerate(LOAD)]
    found = table(tmp_path, "No,year,month,day,hour,pm2.5\n" + "\n".join(lines))
    assert_read(found, ("pm2.5",), (LOAD,))
    assert found.times[-1] == pd.Timestamp("2010-01-03 11:00")
    monthly = [f"{2000 + i // 12},{1 + i % 12},{v}" for i, v in enumerate(LOAD)]
    found = table(tmp_path, "Year,Month,load\n" + "\n".join(monthly))
    assert_read(found, ("load",), (LOAD,))
    assert "2000-01-01 to 2004-12-01, step 1 month" in found.sentence
    other = [f"{v},{w},{20 + v}" for v, w in zip(LOAD, PRICE, strict=True)]  # not what they are called after
    assert table(tmp_path, "year,month,load\n" + "\n".join(other)).names == ["year", "month", "load"]


def test_day_or_month_first_is_what_makes_even_steps(tmp_path):
    daily = pd.date_range("2020-01-01", periods=60)
    for pattern in ("%d/%m/%Y", "%m/%d/%Y"):
        found = table(tmp_path, rows(LOAD, PRICE, times=daily.strftime(pattern)))
        assert (found.times == daily).all()
    monthly = pd.date_range("2020-01-01", periods=24, freq="MS").strftime("%d/%m/%Y")
    assert table(tmp_path, rows(LOAD[:24], PRICE[:24], times=monthly)).times[1] == pd.Timestamp("2020-02-01")
    with pytest.raises(DataError, match=r"'05/05/2020', .*may begin with the day or with the month"):
        table(tmp_path, "date,load\n05/05/2020,1\n07/06/2020,2\n12/11/2020,3\n")


def test_newest_first_is_turned_round(tmp_path):
    for times in (HOURS, range(60), range(1821, 1881)):
        text = rows(LOAD[::-1], PRICE[::-1], times=list(times)[::-1], head="year,load,price")
        found = table(tmp_path, text)
        assert_read(found)
        assert "newest first, turned round" in found.sentence


def test_rows_out_of_order_are_sorted(tmp_path):
    order = np.random.default_rng(0).permutation(60)
    pick = lambda values: [values[i] for i in order]  # noqa: E731
    found = table(tmp_path, rows(pick(LOAD), pick(PRICE), times=pick(HOURS)))
    assert_read(found)
    assert "rows not in order of time" in found.sentence


def test_repeated_times(tmp_path):
    glued = rows(LOAD[:30] * 2, PRICE[:30] * 2, times=HOURS[:30] * 2)
    with pytest.raises(DataError, match="line 32: the time 2020-01-01 stands twice, in line 2 too"):
        table(tmp_path, glued)
    clock_change = [*HOURS[:3], HOURS[2], *HOURS[3:59]]
    found = table(tmp_path, rows(LOAD, PRICE, times=clock_change))
    assert_read(found)
    assert "1 row repeats the time of the row before (duplicates, first 2020-01-01 02:00)" in found.sentence
    days = table(tmp_path, rows(LOAD, PRICE, times=[t[:10] for t in HOURS]))
    assert "57 rows repeat the time" in days.sentence


def test_gaps_in_time_are_named(tmp_path):
    kept = [i for i in range(60) if i not in (20, 21, 40)]
    pick = lambda values: [values[i] for i in kept]  # noqa: E731
    found = table(tmp_path, rows(pick(LOAD), pick(PRICE), times=pick(HOURS)))
    assert "2 gaps in time, first after 2020-01-01 19:00" in found.sentence
    business = pd.date_range("2020-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    assert "gap" not in table(tmp_path, rows(LOAD, PRICE, times=business)).sentence


def test_time_zones(tmp_path):
    times = [t.replace(" ", "T") + ("+01:00" if i < 30 else "+02:00") for i, t in enumerate(HOURS)]
    times[30:] = [
        t.replace(" ", "T") + "+02:00"
        for t in pd.date_range("2020-01-02 07:00", periods=30, freq="h").strftime("%Y-%m-%d %H:%M")
    ]
    found = table(tmp_path, rows(LOAD, PRICE, times=times))
    assert found.times[0] == pd.Timestamp("2019-12-31 23:00")
    assert (np.diff(found.times) == np.timedelta64(1, "h")).all()
    assert "2 time zones in date, read as UTC" in found.sentence


def test_a_long_table(tmp_path):
    days = [f"2020-01-{1 + i:02d}" for i in range(20)]
    lines = [
        f"{t},{shop},{LOAD[i] + k},{PRICE[i]}" for k, shop in enumerate("ab") for i, t in enumerate(days)
    ]
    text = "ds,shop,y,p\n" + "\n".join(lines)
    with pytest.raises(DataError, match=r"once for each 'shop': a long table.*--id shop"):
        table(tmp_path, text)
    by_time = "ds,shop,y,p\n" + "\n".join(sorted(lines))
    with pytest.raises(DataError, match="--id shop"):
        table(tmp_path, by_time)
    for each in (text, by_time):
        found = table(tmp_path, each, id="shop", columns="y")
        assert_read(found, ("a", "b"), (LOAD[:20], [v + 1 for v in LOAD[:20]]))
    assert table(tmp_path, text, id="shop").names == ["a y", "b y", "a p", "b p"]
    with pytest.raises(DataError, match=r"'b' has no row at 2020-01-20"):
        table(tmp_path, "ds,shop,y,p\n" + "\n".join(lines[:-1]), id="shop")
    with pytest.raises(DataError, match=r"'b' has a second row at 2020-01-20"):
        table(tmp_path, "ds,shop,y,p\n" + "\n".join([*lines, lines[-1]]), id="shop")
    numbered = text.replace(",a,", ",1,").replace(",b,", ",2,")
    with pytest.raises(DataError, match="--id shop"):
        table(tmp_path, numbered)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"columns": "laod"}, r"no column 'laod' of --columns; did you mean 'load'\?"),
        ({"time": "when"}, "no column 'when' of --time"),
        ({"id": "shop"}, "no column 'shop' of --id"),
        ({"sep": "ab"}, "--sep is one character or comma"),
        ({"sep": "x"}, "--sep is one character"),
        ({"id": "price", "time": "none"}, "--id needs a column of times"),
        ({"time": "load"}, "column 'load' of --time is not in order"),
    ],
)
def test_flags_that_do_not_fit(tmp_path, flags, message):
    with pytest.raises(DataError, match=message):
        table(tmp_path, rows(LOAD, PRICE), **flags)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_in_any_dialect_is_read_back(tmp_path, data):
    draw = data.draw
    count, width = draw(st.integers(5, 30)), draw(st.integers(1, 4))
    number = st.floats(-1e6, 1e6).map(lambda v: round(v, 4))
    values = np.array(
        draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=count, max_size=count))
    )
    values[0] = 0.5  # proves the mark
    sep, mark = draw(st.sampled_from([",", ";", "\t", "|"])), draw(st.sampled_from(".,"))
    step = draw(st.sampled_from(["h", "D", "MS", "15min"]))
    pattern = draw(
        st.sampled_from(
            ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M", "%s", "%Y%m%d%H%M"]
        )
    )
    times = pd.date_range("2019-03-17", periods=count, freq=step)
    buffer = io.StringIO()
    writer = csv.writer(
        buffer, delimiter=sep, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    )
    writer.writerow(["timestamp", *(f"s {i}" for i in range(width))])
    order = draw(st.sampled_from([range(count), range(count)[::-1]]) | st.permutations(range(count)))
    for time, row in ((times[i], values[i]) for i in order):
        text = str(int(time.timestamp())) if pattern == "%s" else time.strftime(pattern)
        writer.writerow([text, *(f"{v:.4f}".replace(".", mark) for v in row)])
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    found = table(tmp_path, buffer.getvalue(), encoding=encoding)
    assert (found.times == times).all()
    np.testing.assert_array_equal(found.values, values)


UNIX = [1_577_836_800 + 3600 * i for i in range(60)]
DATED = pd.date_range("2020-01-01", periods=60, freq="h")


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("time", [f"{time}.25" for time in UNIX]),
        ("n", [i + 3 * (i > 40) for i in range(60)]),
        ("time", [round(i / 10 + (i % 7) / 300, 4) for i in range(60)]),
        ("t (s)", [round(i / 10 + (i % 7) / 300, 4) for i in range(60)]),
        ("year", [round(2000 + i / 12, 4) for i in range(60)]),
    ],
    ids=["unix with fractions", "a row number with a gap", "uneven seconds", "with a unit", "decimal years"],
)
def test_numbers_that_go_one_way_by_name_or_place_are_no_series(tmp_path, head, times):
    assert_read(table(tmp_path, rows(LOAD, PRICE, head=f"{head},load,price", times=times)))


@pytest.mark.parametrize(
    ("head", "times", "step"),
    [
        ("time", DATED.strftime("%Y%m%d%H"), "1 h"),
        ("date", DATED.strftime("%Y%m%d%H%M"), "1 h"),
        ("Date", [round(43831 + i / 24, 6) for i in range(60)], "1 h"),
        ("date", [43831 + i for i in range(60)], "1 d"),
        ("date", DATED.strftime("%Y-%m-%d %H:%M:%S UTC"), "1 h"),
        ("date", DATED.strftime("%Y-%m-%dT%H:%M:%S.000+0000"), "1 h"),
        ("date", [f"Q{i % 4 + 1} {2000 + i // 4}" for i in range(60)], "1 quarter"),
        ("date", [f"{2000 + i // 12}M{i % 12 + 1:02d}" for i in range(60)], "1 month"),
        ("date", pd.date_range("2000-01-31", periods=60, freq="ME").strftime("%Y-%m-%d"), "1 month"),
        ("date", [t.strftime("%d.%m.%Y" + " %H:%M" * (t.hour > 0)) for t in DATED], "1 h"),
        (
            "date",
            [
                (t - pd.Timedelta(days=1)).strftime("%Y-%m-%d 24:00")
                if t.hour == 0
                else f"{t:%Y-%m-%d %H:%M}"
                for t in DATED
            ],
            "1 h",
        ),
        ("date,hour", [f"{t:%Y-%m-%d},{t.hour}" for t in DATED], "1 h"),
        ("date,hour", [f"{t:%Y-%m-%d},{t.hour + 1}" for t in DATED], "1 h"),
    ],
)
def test_times_in_further_spellings(tmp_path, head, times, step):
    found = table(tmp_path, rows(LOAD, PRICE, head=f"{head},load,price", times=times))
    assert_read(found)
    assert f"step {step}" in found.sentence
    assert "gap" not in found.sentence


@pytest.mark.parametrize(
    ("head", "times"),
    [("timestamp", UNIX), ("date", range(60)), ("", range(60)), ("year", range(1900, 1960)), ("ds", HOURS)],
)
def test_whatever_tells_the_time_is_sorted_and_its_repeats_are_refused(tmp_path, head, times):
    order = np.random.default_rng(0).permutation(60)
    pick = lambda values: [values[i] for i in order]  # noqa: E731
    head = f"{head},load,price"
    found = table(tmp_path, rows(pick(LOAD), pick(PRICE), times=pick(list(times)), head=head))
    assert_read(found)
    assert "sorted" in found.sentence
    twice = list(times)[:30] * 2
    with pytest.raises(DataError, match="line 32: the time .* stands twice, in line 2 too"):
        table(tmp_path, rows(LOAD, PRICE, times=twice, head=head))
    by_id = [f"{t},{'ab'[i // 30]}" for i, t in enumerate(twice)]
    long = rows(LOAD, times=by_id, head=head.replace("load,price", "shop,y"))
    with pytest.raises(DataError, match="--id shop"):
        table(tmp_path, long)
    assert_read(table(tmp_path, long, id="shop"), ("a", "b"), (LOAD[:30], LOAD[30:]))


@pytest.mark.parametrize("head", ["T", "time", "Time (s)", "id", "index", "data", "no", "period"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_measured_quantity_is_a_series_whatever_its_name(tmp_path, head, place):
    names = [head, "load"] if place == 0 else ["load", head]
    lines = [f"{a},{b}" for a, b in zip(LOAD, PRICE, strict=True)]
    assert_read(table(tmp_path, "\n".join([",".join(names), *lines])), names)
    whole = [f"{round(10 * a)},{b}" for a, b in zip(LOAD, PRICE, strict=True)]
    if place == 0 and head != "period":
        assert table(tmp_path, "\n".join([",".join(names), *whole])).names == names


def test_zones_in_some_times_alone_are_refused(tmp_path):
    mixed = [time + "Z" * (i % 2) for i, time in enumerate(HOURS)]
    with pytest.raises(
        DataError, match=r"line 2: '2020-01-01 00:00', .*no time zone, .*Z' \(line 3\) has one"
    ):
        table(tmp_path, rows(LOAD, PRICE, times=mixed))


@pytest.mark.parametrize("place", [1, 2])
def test_a_bad_time_is_refused_wherever_its_column_stands(tmp_path, place):
    times = ["soon" if i == 40 else time for i, time in enumerate(HOURS)]
    columns = [LOAD, times, PRICE] if place == 1 else [["north"] * 60, LOAD, times]
    head = "load,when,price" if place == 1 else "site,load,when"
    text = rows(*columns[1:], times=columns[0], head=head)
    with pytest.raises(DataError, match="line 42: 'soon' is no time that can be read, column 'when'"):
        table(tmp_path, text)


def test_irregular_steps_are_named(tmp_path):
    early = [f"{t:%Y-%m-%d %H:%M}" for t in DATED - pd.to_timedelta((np.arange(60) == 20) * 20, unit="min")]
    found = table(tmp_path, rows(LOAD, PRICE, times=early))
    assert "1 steps are shorter than usual, first after 2020-01-01 19:00" in found.sentence
    days = np.cumsum(np.arange(1, 61))
    uneven = (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d")
    assert "step irregular, 31 d in the middle" in table(tmp_path, rows(LOAD, PRICE, times=uneven)).sentence


@pytest.mark.parametrize("sign", ["$", "\u20ac", "\u00a3", "%"])
def test_a_sign_beside_all_numbers_is_taken_off(tmp_path, sign):
    before, after = [f"-{sign}{v}" for v in LOAD], [f"{v} {sign}" for v in PRICE]
    found = table(tmp_path, rows(before, after))
    assert_read(found, values=([-v for v in LOAD], PRICE))
    assert "of load taken off" in found.sentence
    with pytest.raises(DataError, match=r"line 2: '20\.0' in column 'load' has no"):
        table(tmp_path, rows([LOAD[0], *after[1:]], PRICE))


def test_a_unit_in_the_cells_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 2: column 'load' has a unit in its cells \('20\.0 kW'\)"):
        table(tmp_path, rows([f"{v} kW" for v in LOAD], PRICE))


def test_points_that_may_mark_thousands_are_refused_until_told(tmp_path):
    visitors = [960 + 3 * i for i in range(60)]
    text = rows([f"{v:,}".replace(",", ".") for v in visitors], sep=";", head="date,visitors")
    with pytest.raises(DataError, match=r"line 16: '1\.002' in 'visitors' may have a decimal point or"):
        table(tmp_path, text)
    assert_read(table(tmp_path, text, decimal=","), ("visitors",), (visitors,))
    assert table(tmp_path, text, decimal=".").values[-1, 0] == 1.137


def test_one_column_with_decimal_commas(tmp_path):
    text = "load\n" + "\n".join(comma(LOAD))
    with pytest.raises(DataError, match="line 2: 2 fields where the header has 1"):
        table(tmp_path, text)
    assert_read(table(tmp_path, text, decimal=","), ("load",), (LOAD,))
    quoted = rows([f'"{v}"' for v in comma(LOAD)], [f'"{v}"' for v in comma(PRICE)])
    assert_read(table(tmp_path, quoted, decimal=","))  # commas separate, too


@pytest.mark.parametrize(
    "above",
    ["Station: X\nExported 2020-03-01\n\n", "Station,X\nOwner,Y\n", "# Station\n", "Height;12,5\n"],
)
def test_lines_above_the_names_are_skipped(tmp_path, above):
    assert_read(table(tmp_path, above + rows(LOAD, PRICE)))


def test_names_in_a_comment(tmp_path):
    for head, sep in (("# t load price", " "), ("#,load,price", ",")):
        lines = [sep.join(map(str, row)) for row in zip(range(60), LOAD, PRICE, strict=True)]
        found = table(tmp_path, "\n".join([head, *lines]))
        assert_read(found)
        assert "names from the comment in line 1" in found.sentence


def test_a_name_with_a_line_break_is_one_line(tmp_path):
    found = table(tmp_path, rows(LOAD, PRICE).replace("load", '"load\nin kW"'))
    assert_read(found, ("load in kW", "price"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<html><table>", "this is HTML or XML; export it as CSV"),
        ('[{"a": 1}]', "this is JSON; export it as CSV"),
        (rows(LOAD, PRICE, sep="^"), r"separator space \('2020-01-01'.*--sep, --decimal and --header"),
        (rows(LOAD, PRICE).replace(f",{LOAD[9]},", f',"{LOAD[9]},'), "line 61: .*is a quote left open"),
    ],
)
def test_what_cannot_be_cut_into_columns_says_what_was_tried(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        table(tmp_path, text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "times",
    [HOURS, [f"2020-02-{1 + i % 28:02d}" for i in range(28)] + [f"2020-03-{i:02d}" for i in range(1, 32)]],
)
def test_two_decimals_are_no_clock(tmp_path, times):
    values = [f"{12 + i % 7}.{i % 60:02d}" for i in range(len(times))]
    found = table(tmp_path, "\n".join(["date,load", *map(",".join, zip(times, values, strict=True))]))
    assert_read(found, ["load"], [list(map(float, values))])


@pytest.mark.parametrize(
    "clock", ["{:d}0000", "{:02d}0000", "{:02d}:00", "{:02d}:00:00", "{:02d}.00", "{:02d}.00.00"]
)
@pytest.mark.parametrize("day", ["202001{:02d}", "2020-01-{:02d}", "{:02d}.01.2020"])
@pytest.mark.parametrize("names", ["<DATE>,<TIME>,load,price", "date,time,load,price"])
def test_a_clock_beside_its_day(tmp_path, day, clock, names):
    times = [f"{day.format(1 + i // 24)},{clock.format(i % 24)}" for i in range(60)]
    found = table(tmp_path, rows(LOAD, PRICE, head=names, times=times))
    assert_read(found)
    assert found.times[25] == pd.Timestamp("2020-01-02 01:00")


def test_days_of_the_year(tmp_path):
    times = [f"2020,{300 + i}" for i in range(60)]
    found = table(tmp_path, rows(LOAD, PRICE, head="year,doy,load,price", times=times))
    assert_read(found)
    assert found.times[5] == pd.Timestamp("2020-10-31")


def test_a_first_line_of_day_and_clock_is_no_header(tmp_path):
    text = rows(LOAD, PRICE, times=[time.replace("-", ".").replace(" ", ",") for time in HOURS])
    found = table(tmp_path, text.partition("\n")[2])
    assert_read(found, ["3", "4"])


def test_a_second_column_of_unix_times_is_no_series(tmp_path):
    begins = [1577836800000 + i * 3600000 for i in range(60)]
    ends = [begin + 3599999 for begin in begins]
    found = table(tmp_path, rows(LOAD, ends, PRICE, times=begins).partition("\n")[2])
    assert_read(found, ["2", "4"])
    assert found.left_out["3"] == "times, too"


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE html>\n1,2", "<table><tr>", "<?xml version='1.0'?>", "<div id='a, b'>"]
)
def test_markup_is_named(tmp_path, text):
    with pytest.raises(DataError, match="this is HTML or XML; export it as CSV"):
        table(tmp_path, text)


def test_a_count_is_no_series_wherever_it_stands(tmp_path):
    count = [0.5 * i for i in range(60)]
    found = table(tmp_path, rows(LOAD, count, PRICE, head="date,load,n2,price"))
    assert_read(found)
    assert found.left_out["n2"] == "counts the rows"
    assert table(tmp_path, rows(LOAD, count, head="date,load,n2"), columns="n2").names == ["n2"]


@pytest.mark.parametrize("mark", ["-999", "-99.9", "9999", "1e+20", "-32768"])
def test_a_number_that_may_mark_gaps_is_named(tmp_path, mark):
    marked = [mark if i in (5, 30, 31) else value for i, value in enumerate(LOAD)]
    found = table(tmp_path, rows(marked, PRICE))
    assert found.values[30, 0] == float(mark)  # it is left as it stands
    assert f"load holds {float(mark):g} 3 times, far from all else" in found.sentence
    assert "price holds" not in found.sentence


@pytest.mark.parametrize("values", [[39 + i for i in range(60)] + [99], [999] * 30, [0, 999] * 30])
def test_nines_among_numbers_like_them_are_numbers(tmp_path, values):
    times = pd.date_range("2020-01-01", periods=len(values), freq="h")
    assert "far from all else" not in table(tmp_path, rows(values, head="date,load", times=times)).sentence
