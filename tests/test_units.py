import pytest

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

KIB = 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("512B", 512),
        ("64K", 64 * KIB),
        ("64Ki", 64 * KIB),
        ("64KiB", 64 * KIB),
        ("64k", 64 * KIB),
        ("128M", 128 * KIB**2),
        ("128m", 128 * KIB**2),
        ("64MiB", 64 * KIB**2),
        ("8G", 8 * KIB**3),
        ("8g", 8 * KIB**3),
        ("8Gi", 8 * KIB**3),
        ("2 GiB", 2 * KIB**3),
        ("  2GiB\t", 2 * KIB**3),
        ("1T", KIB**4),
        ("1t", KIB**4),
        ("1TiB", KIB**4),
        ("1.5GiB", 3 * KIB**3 // 2),
        ("5kB", 5_000),
        ("5KB", 5_000),
        ("5MB", 5_000_000),
        ("8GB", 8_000_000_000),
        ("2TB", 2_000_000_000_000),
        ("0.3GB", 300_000_000),
        ("1.1KiB", 1126),  # 1126.4
        ("8192T", MAX_BYTES),
    ],
)
def test_a_size_is_read_in_its_unit(text, size):
    got = parse_bytes(text)
    assert got == size
    assert type(got) is int


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("0.1ms", 0.0001),
        ("500us", 0.0005),
        ("1.5s", 1.5),
        ("1.5 s", 1.5),
        ("1m", 60.0),
        ("2min", 120.0),
        ("1h", 3600.0),
        ("0s", 0.0),
    ],
)
def test_a_time_is_read_in_its_unit(text, seconds):
    got = parse_seconds(text)
    assert got == seconds
    assert type(got) is float


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("120/s", 120.0),
        ("7200/min", 120.0),
        ("60/m", 1.0),
        ("3600/h", 1.0),
        ("12.5", 12.5),
        ("120 /s", 120.0),
    ],
)
def test_a_rate_is_per_second_unless_it_says_otherwise(text, rate):
    assert parse_rate(text) == rate


NO_QUANTITY = [
    *("", " ", "-", "nan", "inf", "None", "True", "GiB", "s", "/s", "."),
    *("8G;rm", "8G oops", "8G\n", "\n8G", "8\nG", "8\u00a0G", "8  G", "8G8", "8 G B"),
    *("-1G", "+1G", "-1s", "1,5G", "1_000s", "1.G", ".5s", "1..5s", "1.5.5s", "0x10s"),
    *("1e3s", "1e400s", "1e400", "9" * 5000 + "s", "9" * 5000 + "B", "9" * 5000),
    *("٣s", "８G", "1²s", "8Ｇ", "1µs", "8G\x00"),
    *("8Gb", "8gb", "8gib", "8MIB", "8b", "8E", "8P", "1d", "1S", "1H", "1Ms", "2:30", "1s/s", "1/ms"),
]


@pytest.mark.parametrize("text", NO_QUANTITY)
@pytest.mark.parametrize("parse", [parse_bytes, parse_seconds, parse_rate])
def test_anything_else_is_refused_in_one_short_line(parse, text):
    with pytest.raises(InvalidInput, match=r"wants a number and a unit, such as ") as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250


@pytest.mark.parametrize("given", [True, None, 64, 0.25, float("nan"), b"8G", ["8G"]])
@pytest.mark.parametrize("parse", [parse_bytes, parse_seconds, parse_rate])
def test_only_text_is_read(parse, given):
    with pytest.raises(InvalidInput, match="wants a number and a unit"):
        parse(given)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_bytes, "64", "size wants a number and a unit, such as 64MiB; got '64'"),
        (parse_seconds, "250", "time wants a number and a unit, such as 250ms; got '250'"),
        (
            parse_seconds,
            "1d",
            "time wants a number and a unit, such as 250ms; got '1d' (units are us, ms, s, min, h)",
        ),
        (parse_bytes, "8193T", "size must be at most 8192 TiB; got '8193T'"),
        (parse_bytes, "0.3B", "size must not be a fraction of a byte; got '0.3B'"),
    ],
)
def test_the_error_says_what_to_write(parse, text, message):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert str(caught.value) == message


def test_the_caller_names_the_value():
    with pytest.raises(InvalidInput, match=r"^--ram wants a number and a unit"):
        parse_bytes("64", name="--ram")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (64 * KIB**2, "64.0 MiB"),
        (100 * KIB**2, "100 MiB"),
        (1023 * KIB**2, "1023 MiB"),
        (KIB**3 - 1, "1.00 GiB"),  # and not 1024 MiB
        (4294967296, "4.00 GiB"),
        (8_000_000_000, "7.45 GiB"),
        (MAX_BYTES, "8192 TiB"),
        (-4294967296, "-4.00 GiB"),
    ],
)
def test_a_size_is_shown_with_three_digits(size, text):
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (0.0031, "3.1 ms"),
        (0.0003456, "346 us"),
        (1e-9, "0.001 us"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),  # and not 1000 ms
        (1, "1 s"),
        (1.25, "1.25 s"),
        (1.2345, "1.23 s"),
        (90, "90 s"),
        (100, "100 s"),
        (12345.6, "12346 s"),
        (-0.2, "-200 ms"),
        (1e-12, "0.000001 us"),
        (1e-76, "0 s"),
        (1e300, "1.00e+300 s"),
        (float("inf"), "inf s"),
        (float("nan"), "nan s"),
    ],
)
def test_a_time_is_shown_with_three_digits_and_no_idle_zeros(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(120, "120/s"), (100 / 3, "33.3/s"), (0, "0/s"), (0.05, "0.05/s")])
def test_a_rate_is_shown_per_second(rate, text):
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.75, "75 %"), (0.4567, "45.7 %"), (0, "0 %"), (1, "100 %"), (1.25, "125 %")]
)
def test_a_fraction_is_shown_in_percent(fraction, text):
    assert format_fraction(fraction) == text


class Rude:
    def __repr__(self):
        raise RuntimeError


def nested(depth):
    inner: list[object] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("8Gb", "'8Gb'"),
        (-0.2, "-0.2"),
        (True, "True"),
        (None, "None"),
        ("a\nb", r"'a\nb'"),
        pytest.param(Rude(), "<Rude>", id="a broken repr"),
        pytest.param(10**5000, "<int>", id="an int Python refuses to print"),
        pytest.param(nested(100_000), "<list>", id="a list too deep to print"),
    ],
)
def test_any_value_can_be_shown(value, text):
    assert shown(value) == text


def test_a_long_value_keeps_both_ends():
    assert shown("start" + "-" * 1000 + "end").startswith("'start")
    assert shown("start" + "-" * 1000 + "end").endswith("end'")
    assert len(shown("x" * 1000)) == 60
