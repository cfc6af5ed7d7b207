"""What the text of a cell is: a number as people write it, a time, nothing at all."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

MISSING = {"", "na", "n/a", "nan", "-nan", "null", "none", "nil", "missing", "?", "-", "--", ".", "..", "..."}
MISSING |= {"n/e", "#n/a", "#n/a n/a", "#na", "<na>", "#value!"}
# marks between groups of three digits, beside that which is no decimal mark
SPACES = "\u00a0\u2009\u202f"
GROUPS = " '\u2019" + SPACES


def all_values(record: list[str]) -> bool:
    """Whether every cell that holds something is a value, and one of them is not a sign for none."""
    held = [cell for cell in record if cell.strip()]
    return all(map(is_value, held)) and not all(map(is_missing, held))


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def is_value(cell: str) -> bool:
    clock = ":" in cell and are_clocks([cell])
    return is_number(cell) or looks_like_time(cell) or is_missing(cell) or clock


def is_number(cell: str) -> bool:
    return number(cell, ".") is not None or number(cell, ",") is not None


def plain_numbers(cells: list[str]) -> np.ndarray | None:
    """Cells as float64, where all are finite and written as Python writes numbers; else None."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() and not any("_" in cell for cell in cells) else None


AFFIXES = "%\u2030$\u20ac\u00a3\u00a5"
MEASURED = re.compile(r"[+-]?[\d.,]*\d ?([A-Za-z\u00b0\u00b5\u03a9][\w\u00b0/\u00b2\u00b3.^-]{0,9})")


def affix(cell: str) -> str:
    """The per cent or currency signs around a number."""
    return "".join(sign for sign in cell if sign in AFFIXES)


def unit(cell: str) -> str:
    """The unit that is written behind a number, as in 3.5 kW; empty without one."""
    match = MEASURED.fullmatch(cell.strip())
    return match[1] if match else ""


def may_be_thousands(texts: list[str]) -> bool:
    """Whether the points of numbers (1.234 beside 987) may be marks of thousands: three digits follow each,
    and numbers below a thousand have none.
    """
    if not all(re.fullmatch(r"[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d{1,3})", text.strip()) for text in texts):
        return False
    return any("." in text for text in texts) and not all("." in text for text in texts)


def _pattern(mark: str, group: str) -> re.Pattern[str]:
    marks = f"[{GROUPS}{group}]"
    point = re.escape(mark)
    grouped = rf"[1-9]\d{{0,2}}(?P<group>{marks})\d{{3}}(?:(?P=group)\d{{3}})*"
    return re.compile(rf"[+-]?(?:(?:{grouped}|\d+)(?:{point}\d*)?|{point}\d+)(?:[eEdD][+-]?\d+)?")


OTHER = {".": ",", ",": "."}
PATTERNS = {".": _pattern(".", ","), ",": _pattern(",", ".")}


def number(cell: str, mark: str) -> float | None:
    """A number with a decimal mark, its marks of thousands and its per cent or currency sign aside; None: no
    number.
    """
    text = cell.strip().replace("\u2212", "-").strip(AFFIXES + " " + SPACES)
    if text[:1] in ("+", "-") and text[1:2] in tuple(AFFIXES):
        text = text[0] + text[2:].lstrip()
    if not PATTERNS[mark].fullmatch(text):
        return None
    text = re.sub(f"[{GROUPS}{OTHER[mark]}]", "", text)
    return float(text.replace(",", ".").lower().replace("d", "e"))


def decimal_of(cell: str) -> str:
    """The decimal mark that a cell proves: ".", ",", "" for neither, "?" where a comma may be either."""
    point, comma = number(cell, "."), number(cell, ",")
    if point is None:
        return "" if comma is None else ","
    if comma is None:
        return "."
    # 1.234 is taken for a decimal point unless another cell proves the comma
    return "?" if point != comma and "," in cell else ""


CLOCK = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"
DATE = r"(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))"
WORDS = r"(?:\d{1,2}[- ])?[A-Za-z]{3,9}\.?[- ,]+(?:\d{1,2}, ?)?(?:\d{4}|\d{2})"
PERIOD = r"\d{4}-?Q[1-4]|Q[1-4][- ]?\d{4}|\d{4}M\d{1,2}"
LIKE_TIME = re.compile(rf"(?:{DATE}|{WORDS}|{PERIOD})(?:[T ,]+{CLOCK})?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?")


def looks_like_time(cell: str) -> bool:
    return LIKE_TIME.fullmatch(cell.strip()) is not None


def share_of_times(texts: list[str]) -> float:
    """Share of the cells that look like times."""
    return sum(map(looks_like_time, texts)) / max(1, len(texts))


def has_clock(cell: str) -> bool:
    """Whether a time tells the time of day beside its date."""
    return re.search(rf"[T ,]{CLOCK}", cell.strip()) is not None


def are_clocks(cells: list[str]) -> bool:
    return all(re.fullmatch(CLOCK, cell.strip()) for cell in cells)


def digit_clocks(values: np.ndarray | None) -> list[str] | None:
    """Times of day that are written as numbers, 93000 for 09:30:00, as clocks; else None."""
    if values is None or np.any((values < 0) | (values > 235_959) | (values != np.round(values))):
        return None
    hours, minutes, seconds = values // 10_000, values // 100 % 100, values % 100
    if not np.any(hours) or np.any((minutes > 59) | (seconds > 59)):
        return None
    return [
        f"{hour:02.0f}:{minute:02.0f}:{second:02.0f}"
        for hour, minute, second in zip(hours, minutes, seconds, strict=True)
    ]


def parsed_times(cells: list[str]) -> tuple[list[pd.DatetimeIndex], int]:
    """The readings of times, two where day and month may change places; else none, and a cell without
    one.
    """
    cells = _alike(cells)
    late = [bool(LATE.match(cell)) for cell in cells]  # the end of a day, as the hour 24
    cells = [LATE.sub(r"\1 00:00\2", cell) for cell in cells]
    series = pd.Series(cells)
    clock = series.str.extract(rf"^({DATE}) (\d{{1,2}})\.(\d{{2}})(?:\.(\d{{2}}))?$")
    if clock[0].notna().all():  # 18.00.00
        seconds = ":" + clock[3] if clock[3].notna().all() else ""
        series = clock[0] + " " + clock[1] + ":" + clock[2] + seconds
    quarter = series.str.replace(r"^(Q[1-4])[- ]?(\d{4})$", r"\2\1", regex=True)
    if quarter.str.fullmatch(r"\d{4}-?Q[1-4]").all():
        return [pd.PeriodIndex(quarter.str.replace("-", ""), freq="Q").to_timestamp()], 0
    zoned = any(zones(cells))
    best, bad = -1, 0
    found: list[pd.DatetimeIndex] = []
    for format_ in _formats(series.iloc[0]):
        parsed = pd.to_datetime(series, format=format_, errors="coerce", utc=zoned)
        if parsed.notna().all():
            times = pd.DatetimeIndex(parsed).tz_localize(None)
            times = pd.DatetimeIndex(times + pd.to_timedelta(np.array(late, dtype=int), unit="D"))
            if "/" not in cells[0]:
                return [times], 0  # with points and dashes the day is first, wherever it can be
            if not any(times.equals(other) for other in found):
                found.append(times)
            continue
        first = int(np.flatnonzero(parsed.isna())[0])
        if first > best:
            best, bad = first, first
    return found[:2], bad


LATE = re.compile(r"^(\d\S*\d)[T ]24:00(:00)?$")


def _alike(cells: list[str]) -> list[str]:
    """Times with zones as offsets, months as numbers and, where others have a clock, midnight written out."""
    cells = [re.sub(r"(:\d\d(?:\.\d+)?) ?(?:Z|UTC|GMT)$", r"\1+00:00", cell) for cell in cells]
    cells = [re.sub(r"^(\d{4})M(\d{1,2})$", r"\1-\2", cell) for cell in cells]
    clocks = {cell.count(":") for cell in cells if ":" in cell}
    bare = [bool(re.fullmatch(DATE, cell)) for cell in cells]
    if len(clocks) == 1 and any(bare):
        midnight = " 00" + ":00" * clocks.pop()
        cells = [cell + midnight if alone else cell for cell, alone in zip(cells, bare, strict=True)]
    return cells


def _formats(cell: str) -> list[str]:
    """Formats that a time may have, by the first of a column."""
    match = re.match(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?=\D|$)", cell)
    if match:
        mark, year = match[2], "%Y" if len(match[4]) == 4 else "%y"
        days = [mark.join(order) for order in (("%d", "%m", year), ("%m", "%d", year))]
        return [day + tail for day in days for tail in _tails(cell[match.end() :])]
    slashed = re.match(r"\d{4}([/.])\d{1,2}(\1\d{1,2})?(?=\D|$)", cell)
    if slashed:
        day = f"%Y{slashed[1]}%m" + (f"{slashed[1]}%d" if slashed[2] else "")
        return [day + tail for tail in _tails(cell[slashed.end() :])]
    if re.match(r"\d{4}-\d{1,2}-\d(?!\d)|\d{4}-\d(?!\d)", cell):
        return ["%Y-%m-%d" + tail for tail in _tails(re.sub(r"^\d{4}-\d{1,2}-\d{1,2}", "", cell))] + ["%Y-%m"]
    if re.search("[A-Za-z]{3}", cell) and not cell.endswith(("UTC", "GMT")):
        return [
            day + tail
            for month in ("%b", "%B")
            for year in ("%Y", "%y")
            for day in (
                f"%d-{month}-{year}",
                f"%d {month} {year}",
                f"{month} %d, {year}",
                f"{month} {year}",
                f"{month}-{year}",
            )
            for tail in ("", " %H:%M", " %H:%M:%S")
        ]
    return ["ISO8601"]


def _tails(rest: str) -> list[str]:
    """Formats of the clock after a date."""
    if not rest.strip():
        return [""]
    lead = re.match(r"[T ,]+", rest)
    start = lead[0] if lead else ""
    if re.search("[AaPp]\\.?[Mm]", rest):
        return [f"{start}%I:%M:%S %p", f"{start}%I:%M %p", f"{start}%I:%M:%S%p", f"{start}%I:%M%p"]
    return [
        f"{start}{clock}{zone}"
        for clock in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H")
        for zone in ("", "%z", " %z", "Z")
    ]


def disorder(times: pd.DatetimeIndex) -> tuple[bool, float]:
    """How unlike a record of one step a reading of times is: out of order, share of unusual steps."""
    steps = np.diff(times.to_numpy()).astype(np.int64)
    if not len(steps):
        return False, 0.0
    inverse = bool(np.any(steps > 0) and np.any(steps < 0))
    months = np.diff(times.year * 12 + times.month) if _monthly(times) else None
    usual = max(Counter(steps.tolist()).values())
    if months is not None and len(months):
        usual = max(usual, max(Counter(months.tolist()).values()))
    return inverse, 1 - usual / len(steps)


NINES = re.compile(r"-?9{2,5}(\.9{1,2}|\.0)?|-?1e\+(10|20|30|32|34)|-32768\.0")


def marks_of_gaps(values: np.ndarray) -> dict[float, int]:
    """Lowest and highest number (-999, 9999, 1e20) that may mark gaps, and how often they stand in `values`
    (n,): those that lie further from all else than all else from each other.
    """
    ends = [end for end in {float(values.min()), float(values.max())} if NINES.fullmatch(str(end))]
    rest = values[~np.isin(values, ends)]
    if not ends or 2 * len(rest) <= len(values):
        return {}
    apart = {end: np.abs(rest - end).min() for end in sorted(ends)}
    return {end: int(np.sum(values == end)) for end, far in apart.items() if far > np.ptp(rest)}


EPOCH = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def epoch_unit(values: np.ndarray) -> str | None:
    """The unit of times since 1970 (1990 to 2100), if they are: s, ms, us or ns."""
    for unit, size in EPOCH.items():
        if np.all((values >= 6.3e8 * size) & (values <= 4.1e9 * size)):
            return unit
    return None


COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # by the digits


def compact_times(values: np.ndarray) -> pd.DatetimeIndex | None:
    """Dates written as one number, 20200131 or 2020013112, of the years 1900 to 2100; else None."""
    if (
        not len(values)
        or np.any(values != np.round(values))
        or not 1e7 <= values.min() <= values.max() < 1e14
    ):
        return None
    text = pd.Series(values.astype(np.int64).astype(str))
    digits = set(text.str.len())
    if len(digits) != 1 or not text.str.match("19|20").all():
        return None
    times = pd.to_datetime(text, format=COMPACT.get(digits.pop(), "%Y"), errors="coerce")
    return None if times.isna().any() else pd.DatetimeIndex(times)


EXCEL = pd.Timestamp("1899-12-30")  # day 0 of a spreadsheet


def excel_times(values: np.ndarray) -> pd.DatetimeIndex | None:
    """Days of a spreadsheet (1927 to 2119) as times, to the second; else None."""
    if not np.all((values >= 10_000) & (values <= 80_000)):
        return None
    return pd.DatetimeIndex(EXCEL + pd.to_timedelta(np.rint(values * 86_400), unit="s"))


def zones(texts: list[str]) -> list[str]:
    """The offset from UTC that each time ends in, empty where it has none."""
    found = (re.search(r":\d\d(?:\.\d+)? ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)$", text) for text in texts)
    return [match[1] if match else "" for match in found]


def steps_of(times: pd.Index) -> np.ndarray:
    """Differences of times or numbers, (n - 1,): whole where they are times."""
    steps = np.diff(times.to_numpy())
    return steps.astype(np.int64) if isinstance(times, pd.DatetimeIndex) else steps


def even(steps: np.ndarray) -> np.ndarray:
    """Which steps (n,) are the usual one, but for the rounding of what is written; none where that is 0."""
    usual = np.median(steps) if len(steps) else 0.0
    return np.abs(steps - usual) <= 2e-3 * np.abs(usual) if usual else np.zeros(len(steps), bool)


def time_text(time: object) -> str:
    """A time, or a number that counts rows, without the parts that say nothing."""
    text = f"{time:.15g}" if isinstance(time, float) else str(time)
    return text.removesuffix(" 00:00:00") if text.endswith(" 00:00:00") else text.removesuffix(":00")


def _monthly(times: pd.DatetimeIndex) -> bool:
    """Whether all are of one day of the month, or of its last."""
    return bool((times.day == times.day[0]).all() or times.is_month_end.all())


def usual_step(times: pd.DatetimeIndex) -> tuple[str, np.ndarray] | None:
    """The most frequent step in words, and where steps are others (n - 1,), in calendar months where all
    times are of one day of a month, or of its last. Where most steps differ it is the middle one, and none
    is another. None for fewer than three different times.
    """
    if times.nunique() < 3:
        return None
    months = np.diff(times.year * 12 + times.month)
    if _monthly(times) and np.all(months >= 1):
        step = Counter(months.tolist()).most_common(1)[0][0]
        return {1: "1 month", 3: "1 quarter", 12: "1 year"}.get(step, f"{step} months"), months != step
    steps = np.diff(times.to_numpy().astype("datetime64[ns]")).astype(np.int64)
    moving = steps[steps != 0]
    step, often = Counter(moving.tolist()).most_common(1)[0]
    irregular = 2 * often < len(moving)
    step = int(np.median(moving)) if irregular else step
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    size, word = next((unit for unit in units if step >= unit[0] * 1e9), units[-1])
    words = f"{step / 1e9 / size:g} {word}"
    return (f"irregular, {words} in the middle", steps > np.inf) if irregular else (words, steps != step)


def gaps(times: pd.DatetimeIndex) -> np.ndarray:
    """Where the next time is further than usual, as numbers of rows, of times in order."""
    step = usual_step(times)
    if step is None:
        return np.empty(0, np.int64)
    steps = np.diff(times.to_numpy())
    usual = steps[~step[1]]
    return np.flatnonzero(step[1] & (steps > usual.max())) if len(usual) else np.empty(0, np.int64)
