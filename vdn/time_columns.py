"""Which columns of a table tell the time, what they say, and in which order that puts the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vdn import cells
from vdn.records import Column, Records, names_in

TIME_NAMES = frozenset(
    ["date", "time", "datetime", "date_time", "timestamp", "ts", "t", "ds", "day", "month", "quarter", "year"]
    + ["hour", "period", "zeit", "datum", "uhrzeit", "zeitstempel", "tag", "monat", "jahr", "fecha", "data"]
    + ["unix", "epoch", "unixtime", "unix_time", "posix", "timestamp_ms", "time_ms", "index", "idx", "id"]
    + ["step", "row", "row_id", "rowid", "rownames", "obs", "observation", "serial", "no", "nr", "number"]
)
SURE_NAMES = frozenset(
    [
        "date",
        "datetime",
        "date_time",
        "timestamp",
        "ds",
        "datum",
        "zeitstempel",
        "fecha",
        "year",
        "yr",
        "jahr",
    ]
    + ["period", "quarter", "unix", "epoch", "unixtime", "unix_time", "posix", "timestamp_ms", "time_ms"]
    + ["rownames", "row_id"]
)  # of no measured quantity, if they are whole or in order
WHEN = SURE_NAMES | {"time", "zeit", "uhrzeit", "ts", "day", "month", "tag", "monat"}  # words there are times
HOURS = ("hour", "hr", "stunde", "heure", "hora")
EVEN = 0.9  # share of steps that are alike from which on whole numbers count rows, with gaps
PARTS = ("year", "month", "day", "hour", "minute", "second")  # columns that make a time together
SURELY_EVEN = 10  # values from which on equal steps count rows whatever the column's name and place
ORDINAL_DAYS = ("doy", "dayofyear", "day_of_year", "yday", "julian day")  # beside a column of years
NO_TIME = "none"


def times_of(records: Records, asked: str, taken: list[Column]) -> tuple[pd.Index | None, set[int]]:
    """Times or counts of the rows, and the numbers of the columns that are no series for it. taken: have
    another part.
    """
    if asked == NO_TIME:
        return None, set()
    if asked:
        chosen = [records.column(name, "--time") for name in names_in(asked)]
        return _read(records, chosen, True), {column.number for column in chosen}
    free = [column for column in records.columns if column not in taken]
    found: pd.Index | None
    found, used = _of_parts(free)
    numeric = [column for column in records.columns if column.numeric]
    only = numeric[0] if len(numeric) == 1 else None  # is the series
    for column, after in zip(free, [*free[1:], None], strict=False):
        if column.number in used:
            continue
        chosen = [column]
        if column.numeric:
            alone = column is only and column.word not in TIME_NAMES
            if alone or not _counts(column):
                continue
            if all(len(cell.strip()) == 8 for cell in column.cells):  # 20200131
                chosen += _clock(column, after, free)
        elif not cells.looks_like_time(next(cell for cell in column.cells if cell.strip())):
            if column.word not in WHEN or column is not free[0]:
                continue
        else:
            chosen = [column, *_clock(column, after, free)]
        likely = column is free[0] or cells.share_of_times(column.cells) >= EVEN
        times = _read(records, chosen, must=found is None and likely)
        if times is None and not column.numeric:
            continue  # words
        used |= {one.number for one in chosen}
        counted = not isinstance(times, pd.DatetimeIndex)
        if found is None or (not counted and not isinstance(found, pd.DatetimeIndex)):
            found = times
        elif not counted:
            records.left_out[column.name] = "times, too"
        if counted:
            records.left_out[column.name] = "counts the rows"
    return found, used


def _clock(column: Column, after: Column | None, free: list[Column]) -> list[Column]:
    """The column that tells the time of day beside one of dates alone: clocks, or hours. 18.30 is a clock
    by its name only.
    """
    if any(map(cells.has_clock, column.cells)):
        return []
    if after is not None and cells.are_clocks(after.cells) and (after.plain is None or after.word in WHEN):
        return [after]
    if after is not None and after.word in WHEN and cells.digit_clocks(after.plain) is not None:
        return [after]
    if len(set(column.cells)) == len(column.cells):
        return []
    return [
        other
        for other in free
        if other.word in HOURS and other.plain is not None and set(other.plain) <= set(range(25))
    ][:1]


def _of_parts(columns: list[Column]) -> tuple[pd.DatetimeIndex | None, set[int]]:
    """Times of columns called year, month and so on, and the numbers of these."""
    by_name = {column.word: column for column in columns if column.plain is not None}
    parts = [part for part in PARTS if part in by_name]
    ordinal = next((name for name in ORDINAL_DAYS if name in by_name), None)
    if parts[:2] == ["year", "month"]:
        ordinal = None
    elif ordinal is None or "year" not in parts:
        return None, set()
    else:
        parts = ["year", ordinal, *(part for part in parts if part in PARTS[3:])]
    frame = pd.DataFrame({part: by_name[part].plain for part in parts})
    if ordinal is not None:
        since = pd.to_timedelta(frame.pop(ordinal) - 1, unit="D")
        times = pd.to_datetime(frame.assign(month=1, day=1), errors="coerce") + since
    else:
        times = pd.to_datetime(frame if "day" in parts else frame.assign(day=1), errors="coerce")
    if times.isna().any():
        return None, set()
    return pd.DatetimeIndex(times), {by_name[part].number for part in parts}


def _counts(column: Column) -> bool:
    """Whether a column of numbers counts rows or time: by its values, judged the harder the less its name
    and place say. A measured quantity neither goes evenly nor in one direction.
    """
    values = column.values
    if values is None:
        return False
    name, first = column.word, column.number == 1
    sure = name in SURE_NAMES or column.unnamed
    named = sure or name in TIME_NAMES
    if len(values) < 3:
        return named
    steps = np.diff(values)
    ordered = bool(np.all(steps > 0) or np.all(steps < 0))
    whole = bool(np.all(values == np.round(values)))
    share = cells.even(steps).mean()
    if ordered and share == 1 and (first or len(values) >= SURELY_EVEN):
        return True
    if ordered and first and (named or (whole and share >= EVEN)):
        return True
    if (first or named) and cells.compact_times(values) is not None:
        return True
    if named and ordered and (sure or share == 1):
        return True
    times = cells.epoch_unit(values) is not None
    if (ordered and (first or named or share >= EVEN) and times and whole) or (sure and times):
        return True
    if not whole or not (sure or (first and named)):
        return False
    in_order = bool(np.all(steps >= 0) or np.all(steps <= 0))
    return in_order or share >= EVEN or bool(np.all(np.diff(np.sort(values)) == 1))  # 3, 1, 2


def _read(records: Records, chosen: list[Column], must: bool) -> pd.Index | None:
    """Times of a column, or of two, or the numbers that count rows. must: what cannot be read is an error;
    else None.
    """
    first, label = chosen[0], " and ".join(repr(column.name) for column in chosen)
    values = first.values if len(chosen) == 1 else None
    if values is not None:
        return _read_numbers(records, first, values)
    texts = [" ".join(parts) for parts in zip(*map(_written, chosen), strict=True)]
    zones = cells.zones(texts)
    if any(zones) and not all(zones):
        without, given = zones.index(""), next(i for i, zone in enumerate(zones) if zone)
        raise records.fault(
            f"{texts[without]!r}, column {label}, has no time zone, {texts[given]!r} (line"
            f" {records.lines[given]}) has one: write all alike, or --time none takes the rows as they come",
            without,
        )
    gap = next((i for i, text in enumerate(texts) if cells.is_missing(text)), None)
    readings, bad = cells.parsed_times(texts) if gap is None else ([], gap)
    if not readings:
        if not must:
            return None
        what = f"{texts[bad]!r} is no time that can be read" if gap is None else "no time"
        raise records.fault(
            f"{what}, column {label}: write it as 2020-03-01 12:00; --time none takes the rows as they come",
            bad,
        )
    times = min(readings, key=cells.disorder)
    for other in readings:
        if cells.disorder(other) == cells.disorder(times) and not other.equals(times):
            raise records.fault(
                f"{texts[0]!r}, column {label}, may begin with the day or with the month: write it as"
                " 2020-03-01; --time none takes the rows as they come",
                0,
            )
    if len(set(zones)) > 1:
        records.notes.append(f"{len(set(zones))} time zones in {first.name}, read as UTC")
    return times


def _written(column: Column) -> list[str]:
    """Cells of dates and clocks, those that are numbers (20200131, hours, 93000) in full."""
    if column.word in HOURS and column.plain is not None:
        return [f"{int(hour):02d}:00" for hour in column.plain]
    days = None if column.plain is None else cells.compact_times(column.plain)
    if days is not None:
        return days.strftime("%Y-%m-%d").tolist()
    clocks = cells.digit_clocks(column.plain) if column.word in WHEN else None
    return [cell.strip() for cell in column.cells] if clocks is None else clocks


def _read_numbers(records: Records, column: Column, values: np.ndarray) -> pd.Index:
    """Times that are written as numbers, or the numbers themselves where they only count."""
    name = column.word
    compact = cells.compact_times(values)
    if compact is not None:
        return compact
    unit = cells.epoch_unit(values)
    if unit is not None:
        records.notes.append(f"{column.name} read as {unit} since 1970")
        micro = np.rint(values * (1e6 / cells.EPOCH[unit])).astype(np.int64)
        return pd.DatetimeIndex(micro.astype("datetime64[us]"))
    whole = bool(np.all(values == np.round(values)))
    if name in ("year", "jahr") and whole and np.all((values >= 1000) & (values <= 2200)):
        return pd.DatetimeIndex(
            (values.astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[s]")
        )
    days = cells.excel_times(values) if name in SURE_NAMES and name not in ("year", "jahr") else None
    if days is not None:
        records.notes.append(f"{column.name} read as days of a spreadsheet")
        return days
    steps = np.diff(values)
    unique = whole and len(np.unique(values)) == len(values)
    if not (_counts(column) or unique or np.all(steps > 0) or np.all(steps < 0)):
        raise records.fault(f"column {column.name!r} of --time is not in order")
    return pd.Index(values)


def in_order(records: Records, times: pd.Index, values: np.ndarray) -> tuple[pd.Index, np.ndarray]:
    """Rows in order of time; refuse times that stand twice where that leaves the order open."""
    steps = cells.steps_of(times)
    again = times.duplicated()
    if np.any(steps < 0) and np.all(steps <= 0):
        records.notes.append("newest first, turned round")
        times, values = times[::-1], values[::-1]
    elif np.any(steps < 0) and again.any():
        at = int(np.flatnonzero(again)[0])
        before = int(np.flatnonzero(times == times[at])[0])
        raise records.fault(
            f"the time {cells.time_text(times[at])} stands twice, in line {records.lines[before]} too, and"
            " rows are not in order: remove the duplicates, or write local times of a clock change in UTC",
            at,
        )
    elif np.any(steps < 0):
        line = records.lines[int(np.flatnonzero(steps < 0)[0]) + 1]
        records.notes.append(f"rows not in order of time (line {line}), sorted")
        order = np.argsort(times.to_numpy(), kind="stable")
        times, values = times[order], values[order]
    if again.any():
        first = cells.time_text(times[int(np.flatnonzero(times.duplicated())[0])])
        repeats = "1 row repeats" if again.sum() == 1 else f"{int(again.sum()):,} rows repeat"
        records.notes.append(
            f"{repeats} the time of the row before (duplicates, first {first}): taken as they come"
        )
    return times, values


def refuse_long(records: Records, times: pd.Index, of_time: set[int]) -> None:
    """Refuse a table of one row for each series and time without --id."""
    if not times.has_duplicates:
        return
    for column in records.columns:
        kinds = pd.Series(column.cells).str.strip()
        if column.number in of_time or not 2 <= kinds.nunique() <= len(kinds) // 2:
            continue
        if not pd.DataFrame({"time": times, "kind": kinds}).duplicated().any():
            raise records.fault(
                f"times repeat, once for each {column.name!r}: a long table, of one row for each series and"
                f" time, is read with --id {column.name}"
            )


def note_steps(records: Records, times: pd.Index) -> pd.DatetimeIndex | None:
    """The times, None where they only count; notes where their steps are not even."""
    if not isinstance(times, pd.DatetimeIndex):
        jumps = np.flatnonzero(~cells.even(np.diff(times.to_numpy())))
        if len(jumps):
            first = cells.time_text(times[int(jumps[0])])
            records.notes.append(
                f"{len(jumps):,} steps of the count are others than usual, first after {first}"
            )
        return None
    gaps = cells.gaps(times)
    if len(gaps):
        first = cells.time_text(times[int(gaps[0])])
        many = f"{len(gaps):,} gaps" if len(gaps) > 1 else "a gap"
        records.notes.append(f"{many} in time, first after {first}: windows run across them")
    step = cells.usual_step(times)
    short = np.flatnonzero(step[1] & (cells.steps_of(times) > 0)) if step else gaps
    short = np.setdiff1d(short, gaps)
    if len(short):
        first = cells.time_text(times[int(short[0])])
        records.notes.append(f"{len(short):,} steps are shorter than usual, first after {first}")
    return times
