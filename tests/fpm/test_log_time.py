"""Clocks against datetime, and the fast reader of common-log times against strptime."""

from __future__ import annotations

import math
import re
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import InvalidInput
from capacity.fpm.access_format import access_format
from capacity.fpm.log_time import CLF, clock, has_zone, time_pattern

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1970, 1, 3), datetime(2999, 12, 29), timezones=ZONES)
DATES = ["%Y-%m-%d", "%d/%b/%Y", "%a, %d %B %Y", "%A %e %h %Y", "%F", "%Y.%j", "%d%%%m%%%Y", "%Y%t%m%n%d"]
TIMES = ["%H:%M:%S", "%T", "%I:%M:%S %p", "%r", "%H.%M.%S.%f", "%R:%S", "%%T %T"]


@given(MOMENTS, st.sampled_from(DATES), st.sampled_from(TIMES))
def test_what_strftime_wrote_is_read_back_with_its_zone(moment: datetime, date: str, time: str) -> None:
    time_format = f"[{date} {time} %z]"
    text = moment.strftime(time_format).encode()
    exact = moment if "%f" in time_format else moment.replace(microsecond=0)
    assert clock(time_format)[text] == exact.timestamp()
    assert re.fullmatch(time_pattern(time_format), text)


@given(MOMENTS, st.sampled_from(DATES), st.sampled_from(TIMES))
def test_a_time_without_a_zone_is_utc(moment: datetime, date: str, time: str) -> None:
    time_format = f"{date} {time}"
    expected = moment.replace(microsecond=moment.microsecond if "%f" in time else 0, tzinfo=UTC)
    assert clock(time_format)[moment.strftime(time_format).encode()] == expected.timestamp()
    assert not has_zone(time_format)


@given(MOMENTS)
def test_the_fast_reader_of_common_log_times_agrees_with_strptime(moment: datetime) -> None:
    text = moment.strftime(CLF)
    assert clock("clf")[text.encode()] == datetime.strptime(text, CLF).timestamp()
    assert clock(CLF)[text.encode()] == moment.replace(microsecond=0).timestamp()
    assert re.fullmatch(time_pattern("clf"), text.encode())


@given(MOMENTS, st.integers(0, 25), st.sampled_from("0123456789/:+- JNx"))
def test_the_fast_reader_takes_nothing_strptime_refuses(moment: datetime, at: int, letter: str) -> None:
    right = moment.strftime(CLF)
    text = right[:at] + letter + right[at + 1 :]
    found = clock("clf")[text.encode()]
    try:
        expected = datetime.strptime(text, CLF).timestamp()
    except ValueError:
        assert math.isnan(found) or text[18:20] == "60"
        return
    # strptime also takes one digit for two, which no log has
    whole = re.fullmatch(r"\S{11}(:[0-9]{2}){3} [+-][0-9]{4}", text) and 0 <= expected < 32503680000
    assert found == expected or (not whole and math.isnan(found))


@pytest.mark.parametrize(
    "text",
    [
        "24/Nov/2026:24:00:00 +0000",
        "24/Nov/2026:07:60:00 +0000",
        "24/Nov/2026:07:46:61 +0000",
        "24/Nov/2026:-7:46:30 +0000",
        "24/Nov/2026:07: 6:30 +0000",
        "24/Nov/2026:07x46y30z+0000",
        "31/Feb/2026:07:46:30 +0000",
        "24/Nov/2026:07:46:30 +9999",
        "24/Nov/1969:07:46:30 +0000",
        "24/Nov/3001:07:46:30 +0000",
        "24/Nov/2026:07:46:30 UTC+0",
        "",
        "-",
    ],
)
def test_nonsense_is_no_time(text: str) -> None:
    assert math.isnan(clock("clf")[text.encode()])


def test_a_leap_second_is_the_first_of_the_next_minute() -> None:
    read = clock("clf")
    assert read[b"31/Dec/2016:23:59:60 +0000"] == read[b"01/Jan/2017:00:00:00 +0000"]


@given(MOMENTS, st.sampled_from("T "), st.booleans())
def test_iso(moment: datetime, separator: str, comma: bool) -> None:
    text = moment.isoformat(separator)
    written = text.replace(".", ",") if comma else text
    assert clock("iso")[written.encode()] == moment.timestamp()
    assert re.fullmatch(time_pattern("iso"), written.encode())


def test_iso_of_nanoseconds_and_of_utc() -> None:
    read = clock("iso")
    assert read[b"2026-11-24T06:46:30.123456789Z"] == pytest.approx(1795502790.123456, abs=1e-6)
    assert read[b"2026-11-24 06:46:30"] == 1795502790
    assert math.isnan(read[b"2026-11-24T25:00:00Z"])


@given(st.floats(1e8, 3.2e10), st.sampled_from([(1.0, 6), (1e3, 3), (1e6, 0)]))
def test_epochs_in_three_units(seconds: float, unit: tuple[float, int]) -> None:
    factor, digits = unit
    text = f"{seconds * factor:.{digits}f}".encode()
    assert clock("epoch")[text] == pytest.approx(seconds, abs=1e-5)
    assert re.fullmatch(time_pattern("epoch"), text)


@pytest.mark.parametrize("text", ["", "-", "nan", "inf", "-5", "1e40", "1795502790000000000", "١٢٣"])
def test_epochs_that_are_none(text: str) -> None:
    assert math.isnan(clock("epoch")[text.encode()])


@pytest.mark.parametrize(
    ("time_format", "text"),
    [("%s", "1795502790"), ("[%s]", "[1795502790]"), ("%s %z", "1795502790 +0100"), ("7%% %s", "7% 1795502790")],
)
def test_seconds_since_the_epoch_among_other_text(time_format: str, text: str) -> None:
    assert clock(time_format)[text.encode()] == 1795502790
    assert has_zone(time_format)


def test_the_name_of_a_zone_is_skipped_and_tells_nothing() -> None:
    assert clock("%F %T %Z")[b"2026-11-24 06:46:30 CET"] == 1795502790
    assert not has_zone("%F %T %Z")
    assert not has_zone("%F %T %%z")


def test_what_is_written_twice_is_read_once() -> None:
    assert clock("%F %T (%H h, %d %b %h)")[b"2026-11-24 06:46:30 (06 h, 24 Nov Nov)"] == 1795502790


def test_an_unknown_directive_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="%Q is not known"):
        time_pattern("%F %Q")
    with pytest.raises(InvalidInput, match="%Q is not known"):
        access_format("%{%F %Q}t %d")


@given(st.binary(max_size=60), st.sampled_from(["clf", "iso", "epoch", "%s", "%F %T %Z", "%d %b %Y %z", ""]))
def test_any_bytes_give_a_number_or_none(text: bytes, time_format: str) -> None:
    seconds = clock(time_format)[text]
    assert math.isnan(seconds) or 0 <= seconds < 32503680000


def test_a_clock_remembers_no_more_than_its_bound() -> None:
    read = clock("epoch")
    tracemalloc.start()
    for second in range(100_000):
        assert read[b"%d" % (1795502790 + second)] == 1795502790 + second
    for digit in range(200):
        assert math.isnan(read[b"%d" % digit + b"9" * 60_000])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(read) <= 1 << 14
    assert peak < 5e6
