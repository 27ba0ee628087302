"""Quantities as people write and read them; numbers inside are always SI.

Text must carry its unit: a bare ``250`` is the likeliest 1000-fold error, so it is refused wherever more than
one unit would make sense. A bare ``K``, ``M``, ``G`` or ``T`` is binary, as in PHP, Docker and systemd.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from capacity.errors import InvalidInput, Problem

__all__ = [
    "MAX_BYTES",
    "format_bytes",
    "format_fraction",
    "format_rate",
    "format_seconds",
    "format_value",
    "parse_bytes",
    "parse_rate",
    "parse_seconds",
    "shortened",
    "shown",
]

MAX_BYTES: Final = 2**53
"""The largest size accepted (8192 TiB): beyond it a float no longer tells one byte from the next."""

_SIZES: Final[Mapping[str, int]] = {
    "B": 1,
    **{letter + tail: 1024**n for n, letter in enumerate("KMGT", 1) for tail in ("", "i", "iB")},
    **{letter: 1024**n for n, letter in enumerate("kmgt", 1)},
    **{letter + "B": 1000**n for n, letter in enumerate("KMGT", 1)},
    "kB": 1000,
}
_TIMES: Final[Mapping[str, Fraction]] = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3600),
}
_RATES: Final[Mapping[str, int]] = {"": 1, "/s": 1, "/m": 60, "/min": 60, "/h": 3600}

# No exponent, sign, digit separator or comma: each of them is read differently somewhere.
_QUANTITY: Final = re.compile(r"[ \t]*([0-9]+(?:\.[0-9]+)?) ?([A-Za-z/]*)[ \t]*")
_LONGEST: Final = 60
_SIZE_HINT: Final = "units are B, KiB MiB GiB TiB or K M G T (powers of 1024), kB MB GB TB (powers of 1000)"


def parse_bytes(text: str, *, name: str = "size") -> int:
    """Size in bytes from text such as ``64MiB``.

    Parameters
    ----------
    text : str
        A number and a unit: ``B``; ``K M G T``, ``k m g t``, ``Ki``, ``KiB`` and so on (powers of 1024);
        ``kB`` or ``KB``, ``MB GB TB`` (powers of 1000).
    name : str
        What the error calls the value.

    Returns
    -------
    int
        Bytes, rounded to the nearest whole one; from 0 to `MAX_BYTES`.

    Raises
    ------
    InvalidInput
        For anything else, a size above 0 and below one byte included.

    Examples
    --------
    >>> parse_bytes("64MiB"), parse_bytes("1.5 G"), parse_bytes("8GB")
    (67108864, 1610612736, 8000000000)
    >>> parse_bytes("64")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: size wants a number and a unit, such as 64MiB; got '64'
    """
    number, unit = _split(text, name=name, units=_SIZES, example="64MiB", hint=_SIZE_HINT)
    size = number * _SIZES[unit]
    if size > MAX_BYTES:
        raise InvalidInput([Problem(name, f"must be at most {format_bytes(MAX_BYTES)}", shown(text))])
    if 0 < size < 1:
        raise InvalidInput([Problem(name, "must not be a fraction of a byte", shown(text))])
    return round(size)


def parse_seconds(text: str, *, name: str = "time") -> float:
    """Time in seconds from text such as ``250ms``.

    Parameters
    ----------
    text : str
        A number and a unit: ``us ms s m min h``; both ``m`` and ``min`` are minutes.
    name : str
        What the error calls the value.

    Returns
    -------
    float
        Seconds, finite, at least 0.

    Raises
    ------
    InvalidInput
        For anything else.

    Examples
    --------
    >>> parse_seconds("250ms"), parse_seconds("1.5 s"), parse_seconds("2min")
    (0.25, 1.5, 120.0)
    >>> parse_seconds("250")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: time wants a number and a unit, such as 250ms; got '250'
    """
    number, unit = _split(text, name=name, units=_TIMES, example="250ms", hint="units are us, ms, s, min, h")
    return float(number * _TIMES[unit])


def parse_rate(text: str, *, name: str = "rate") -> float:
    """Rate in requests per second from text such as ``7200/min``.

    Parameters
    ----------
    text : str
        A number and ``/s``, ``/min`` (or ``/m``) or ``/h``. A bare number is a rate per second: here only
        one unit makes sense.
    name : str
        What the error calls the value.

    Returns
    -------
    float
        Requests per second, finite, at least 0.

    Raises
    ------
    InvalidInput
        For anything else.

    Examples
    --------
    >>> parse_rate("120/s"), parse_rate("7200/min"), parse_rate("3600/h"), parse_rate("12.5")
    (120.0, 120.0, 1.0, 12.5)
    """
    number, unit = _split(text, name=name, units=_RATES, example="120/s", hint="units are /s, /min, /h")
    return float(number / _RATES[unit])


def _split(text: object, *, name: str, units: Mapping[str, object], example: str, hint: str) -> tuple[Fraction, str]:
    """Split text into its number and its unit, one of `units`."""
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if match is None or match[2] not in units:
        rule = f"wants a number and a unit, such as {example}"
        raise InvalidInput([Problem(name, rule, shown(text), hint if match and match[2] else "")])
    return Fraction(match[1]), match[2]


def format_bytes(size: float) -> str:
    """Size with three significant digits, in binary units.

    Parameters
    ----------
    size : float
        Size [byte].

    Returns
    -------
    str
        Whole bytes below 1 KiB; never fewer digits than the whole part has.

    Examples
    --------
    >>> format_bytes(4 * 1024**3), format_bytes(64 * 1024**2), format_bytes(0)
    ('4.00 GiB', '64.0 MiB', '0 B')
    """
    value, unit, prefixes = float(size), "B", iter("KMGT")
    # 1023.5 is where the text would be 1024
    while abs(value) >= 1023.5 and (prefix := next(prefixes, None)):
        value, unit = value / 1024, f"{prefix}iB"
    return f"{value:.0f} B" if unit == "B" else f"{_three_digits(value)} {unit}"


def format_seconds(seconds: float) -> str:
    """Time with three significant digits, in us, ms or s.

    Parameters
    ----------
    seconds : float
        Time [s].

    Returns
    -------
    str
        Trailing zeros are left out; from 1 s up the unit is always s; a picosecond is the least shown.

    Examples
    --------
    >>> format_seconds(0.25), format_seconds(1.25), format_seconds(0.0031), format_seconds(90)
    ('250 ms', '1.25 s', '3.1 ms', '90 s')
    """
    if abs(seconds) < 5e-13:
        return "0 s"
    for scale, unit in ((1e6, "us"), (1e3, "ms")):
        # The text decides, not the value: 999.9 ms would print as 1000 ms.
        if abs(seconds) * scale < 1001 and abs(float(number := _three_digits(seconds * scale))) < 1000:
            return f"{_without_zeros(number)} {unit}"
    return f"{_without_zeros(_three_digits(seconds))} s"


def format_rate(rate: float) -> str:
    """Rate with three significant digits, per second.

    Parameters
    ----------
    rate : float
        Requests per second [1/s].

    Returns
    -------
    str

    Examples
    --------
    >>> format_rate(120), format_rate(100 / 3)
    ('120/s', '33.3/s')
    """
    return f"{_without_zeros(_three_digits(rate))}/s"


def format_fraction(fraction: float) -> str:
    """Fraction as a percentage with three significant digits.

    Parameters
    ----------
    fraction : float
        Share of the whole [-], 1 being all of it.

    Returns
    -------
    str

    Examples
    --------
    >>> format_fraction(0.75), format_fraction(0.4567), format_fraction(0)
    ('75 %', '45.7 %', '0 %')
    """
    return f"{_without_zeros(_three_digits(fraction * 100))} %"


def format_value(value: float, unit: str) -> str:
    """Write a number of one of our units as people read it.

    Parameters
    ----------
    value : float
        In SI units.
    unit : str
        As the JSON Schema of its field has it: ``s``, ``byte``, ``1/s``; with any other, whole or with four digits.

    Returns
    -------
    str

    Examples
    --------
    >>> format_value(0.25, "s"), format_value(4 * 2**30, "byte"), format_value(65535.0, "1")
    ('250 ms', '4.00 GiB', '65535')
    """
    if unit == "s":
        return format_seconds(value)
    if unit == "byte":
        return format_bytes(value)
    if unit == "1/s":
        return format_rate(value)
    return f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def _three_digits(value: float) -> str:
    """Text with three significant digits, or the whole part where that has more; at most 6 decimals."""
    if abs(value) < 5e-7:
        return "0"
    if not abs(value) < 1e15:  # NaN and infinity too; nobody reads 16 digits
        return f"{value:.2e}"
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:.{min(max(0, 2 - exponent), 6)}f}"


def _without_zeros(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number and "e" not in number else number


def shown(value: object, *, longest: int = _LONGEST) -> str:
    """Value as an error message shows it: one line, at most `longest` characters, both ends kept.

    Parameters
    ----------
    value : object
        Anything at all. Numbers are shown plainly, everything else as ``repr`` does.
    longest : int
        Characters; at least 10.

    Returns
    -------
    str

    Examples
    --------
    >>> shown("8Gb"), shown(-0.2)
    ("'8Gb'", '-0.2')
    >>> shown("x" * 1000, longest=20)
    "'xxxxxxxx...xxxxxxx'"
    """
    try:
        text = str(value) if hasattr(value, "__float__") else repr(value)
    except Exception:  # a broken or endless repr must not hide the error that is being reported
        return f"<{type(value).__name__}>"
    return shortened(text, longest)


def shortened(text: str, longest: int) -> str:
    r"""Text on one line and in at most `longest` characters, both ends kept.

    Examples
    --------
    >>> shortened("a long story\nwith a point at its end", 24)
    'a long stor...at its end'
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    head = (longest - 2) // 2
    return f"{line[:head]}...{line[head + 3 - longest :]}"
