import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import InvalidInput
from capacity.units import (
    MAX_BYTES,
    format_bytes,
    format_fraction,
    format_rate,
    format_seconds,
    parse_bytes,
    parse_rate,
    parse_seconds,
    shown,
)

# Three significant digits: the printed number is at most half a unit of its third digit away, 0.5 / 100.
THREE_DIGITS = 0.005 * (1 + 1e-9)
PARSERS = st.sampled_from([parse_bytes, parse_seconds, parse_rate])


@given(st.integers(0, MAX_BYTES))
def test_what_is_printed_as_a_size_is_read_back(size):
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=THREE_DIGITS, abs=0)


@given(st.integers(0, 1023))
def test_small_sizes_are_read_back_exactly(size):
    assert parse_bytes(format_bytes(size)) == size


@given(st.one_of(st.just(0.0), st.floats(1e-9, 1e12)))
def test_what_is_printed_as_a_time_is_read_back(seconds):
    assert parse_seconds(format_seconds(seconds)) == pytest.approx(seconds, rel=THREE_DIGITS, abs=0)


@given(st.one_of(st.just(0.0), st.floats(1e-4, 1e12)))
def test_what_is_printed_as_a_rate_is_read_back(rate):
    assert parse_rate(format_rate(rate)) == pytest.approx(rate, rel=THREE_DIGITS, abs=0)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_time_never_prints_as_a_shorter_one(one, other):
    low, high = sorted((one, other))
    assert parse_seconds(format_seconds(low)) <= parse_seconds(format_seconds(high))


@given(st.floats(0).map(str) | st.integers(0).map(str))
def test_a_bare_number_is_neither_a_size_nor_a_time(text):
    for parse in (parse_bytes, parse_seconds):
        with pytest.raises(InvalidInput, match="wants a number and a unit"):
            parse(text)


@given(st.text(), PARSERS)
def test_text_is_read_as_a_number_at_least_zero_or_refused(text, parse):
    try:
        value = parse(text)
    except InvalidInput as error:
        value, message = 0, str(error)
    else:
        message = ""
    assert 0 <= value < float("inf")
    assert "\n" not in message


@given(st.text(string.digits + ".", min_size=1), st.sampled_from(["B", "K", "GiB", "MB", "ms", "min", "/h"]), PARSERS)
def test_digits_and_points_before_a_unit_never_escape(number, unit, parse):
    try:
        value = parse(number + unit)
    except InvalidInput:
        return
    assert 0 <= value < float("inf")


@given(st.sampled_from(["64MiB", "250ms", "120/s"]), st.text(min_size=1))
def test_nothing_may_follow_the_unit_but_blanks(text, tail):
    parse = {"64MiB": parse_bytes, "250ms": parse_seconds, "120/s": parse_rate}[text]
    if tail.strip(" \t") == "":
        assert parse(text + tail) == parse(text)
    else:
        with pytest.raises(InvalidInput):
            parse(text + tail)


@given(st.recursive(st.none() | st.text() | st.floats() | st.integers(), st.lists) | st.binary())
def test_a_shown_value_is_one_short_line(value):
    text = shown(value)
    assert len(text) <= 60
    assert "\n" not in text


@given(st.floats(), st.sampled_from([format_bytes, format_seconds, format_rate, format_fraction]))
def test_any_number_prints_as_one_short_word_and_unit(value, print_):
    assert len(print_(value)) <= 25
