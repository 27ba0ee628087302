"""Access logs of any size, read a block at a time into columns.

A block of some hundred kilobytes is matched by one expression that consumes whole lines, good or not, and its
columns are converted together: there is no work per line in Python but for lines the expression refuses.
"""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capacity.fpm.log_line import LONGEST_LINE, Column, LineFormat, Quantity
from capacity.fpm.log_time import Memo, clock
from capacity.units import shown

__all__ = ["Noise", "Requests", "read_access_log", "sample_lines"]

# Small enough that a block's strings stay in the processor's cache: 1.6 times as fast as 2 MiB.
_BLOCK = 1 << 17
_SHOWN = 3
# Reading a refused line again costs more than the line; after so many in vain they are taken for noise.
_PATIENCE = 2000
_BLANK = re.compile(rb"\n\n++")
_LISTED = re.compile(rb"[0-9]+(?:\.[0-9]+)?")
# Nothing that is counted here is negative or larger: microseconds of 30000 years, bytes of an exbibyte.
_MOST = 1e18

FloatArray = NDArray[np.float64]


@dataclass
class Noise:
    """Lines that say nothing of a request: how many, and the first few.

    Parameters
    ----------
    lines : int
        Noise so far.
    examples : list of str
        Ready to show.
    """

    lines: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, line: bytes) -> None:
        """Count a line, and keep it if it is among the first."""
        self.lines += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(shown(line.decode("utf-8", "replace"), longest=160))


@dataclass(frozen=True)
class Requests:
    """Some requests as columns of one length; None where the log does not tell, NaN where a line does not.

    Parameters
    ----------
    count : int
    started, ended : array or None
        Seconds since the epoch, as the log has them: mostly whole.
    service_time, upstream_time, request_time : array or None
        [s]; of several upstreams the sum.
    cpu_time : array or None
        CPU seconds: ``cpu`` times ``service_time``.
    memory : array or None
        Peak [byte].
    status : array or None
    route, client : sequence of bytes or None
        As written.
    """

    count: int
    started: FloatArray | None = None
    ended: FloatArray | None = None
    service_time: FloatArray | None = None
    upstream_time: FloatArray | None = None
    request_time: FloatArray | None = None
    cpu_time: FloatArray | None = None
    memory: FloatArray | None = None
    status: FloatArray | None = None
    route: Sequence[bytes] | None = None
    client: Sequence[bytes] | None = None


def read_access_log(
    chunks: Iterable[bytes],
    line_format: LineFormat,
    *,
    noise: Noise | None = None,
    leave_out: Collection[Quantity] = (),
) -> Iterator[Requests]:
    r"""Read a log block by block, in bounded memory.

    Parameters
    ----------
    chunks : iterable of bytes
        The file in pieces of any size, cut anywhere.
    line_format : LineFormat
    noise : Noise, optional
        Where lines that could not be read are counted.
    leave_out : collection of str
        Quantities that are not wanted: converting a column is a tenth of the work.

    Yields
    ------
    Requests
        In the order of the log. A last line without a newline is read as well.

    Examples
    --------
    >>> from capacity.fpm.access_format import access_format
    >>> log = [b"24/Nov/2026:07:46:30 +0000 25", b"0.5\nsegfault\n24/Nov/2026:07:46:31 +0000 80.0"]
    >>> noise = Noise()
    >>> [block] = read_access_log(log, access_format("%t %{milli}d"), noise=noise)
    >>> block.service_time, block.started, noise.lines
    (array([0.2505, 0.08  ]), array([1.79550639e+09, 1.79550639e+09]), 1)
    """
    reader = _Reader(line_format, noise if noise is not None else Noise(), leave_out)
    for block in _blocks(chunks, reader.noise):
        requests = reader.read(block)
        if requests.count:
            yield requests


def sample_lines(data: bytes, most: int = 400) -> list[bytes]:
    r"""Whole lines of the beginning of a log, to recognise its format by.

    Parameters
    ----------
    data : bytes
        The first megabyte or so.
    most : int
        Lines wanted [-].

    Returns
    -------
    list of bytes
        Without their newlines and without blank lines; the last one only if it is the only one.

    Examples
    --------
    >>> sample_lines(b"one\n\ntwo\nhal")
    [b'one', b'two']
    """
    lines = _without_blank_lines(data.lstrip(b"\r\n\t \0")).split(b"\n", 4 * most)[: 4 * most]
    whole = [line.rstrip(b"\r") for line in lines[:-1] or lines if line.strip() and len(line) <= LONGEST_LINE]
    return whole[:most]


def _blocks(chunks: Iterable[bytes], noise: Noise) -> Iterator[bytes]:
    """Blocks of whole lines; a line longer than `LONGEST_LINE` is dropped and counted as it streams by."""
    held: list[bytes] = []
    size = 0
    dropping = False
    for rest in (chunk[at : at + _BLOCK] for chunk in chunks for at in range(0, len(chunk), _BLOCK)):
        if dropping:
            _, newline, rest = rest.partition(b"\n")
            dropping = not newline
        held.append(rest)
        size += len(rest)
        if size < _BLOCK:
            continue
        data = b"".join(held)
        whole, newline, tail = data.rpartition(b"\n")
        if whole or newline:
            yield from _without_giants(whole + b"\n", noise)
        if len(tail) > LONGEST_LINE:
            noise.add(tail[:200])
            tail, dropping = b"", True
        held, size = [tail], len(tail)
    data = b"".join(held)
    if data:
        yield from _without_giants(data if data.endswith(b"\n") else data + b"\n", noise)


def _without_giants(block: bytes, noise: Noise) -> Iterator[bytes]:
    # Lines are short, so most blocks have a newline in every stretch of this length and need no closer look.
    if all(block.find(b"\n", at, at + LONGEST_LINE // 2) >= 0 for at in range(0, len(block), LONGEST_LINE // 2)):
        yield block
        return
    kept = []
    for line in block.splitlines(keepends=True):
        if len(line) > LONGEST_LINE:
            noise.add(line[:200])
        else:
            kept.append(line)
    yield b"".join(kept)


def _without_blank_lines(block: bytes) -> bytes:
    """Squeeze runs of line ends, which the expression would try from every one of them."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if b"\n\n" in block or block.startswith(b"\n"):
        block = _BLANK.sub(b"\n", block).lstrip(b"\n")
    return block


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector from looking in vain at thousands of new tuples again and again: 20 % of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Reader:
    def __init__(self, line_format: LineFormat, noise: Noise, leave_out: Collection[Quantity]) -> None:
        self.format = line_format
        self.noise = noise
        self._left_out = frozenset(leave_out)
        self._converters = [_converter(column) for column in line_format.columns]
        self._in_vain = 0

    def read(self, block: bytes) -> Requests:
        block = _without_blank_lines(block)
        with _no_collection():
            rows = self.format.strict.findall(block)
            columns = list(zip(*rows, strict=True))
        if not rows:
            return Requests(0)
        refused = columns.pop()
        if any(refused):
            kept = [row[:-1] if not row[-1] else self._again(row[-1]) for row in rows]
            columns = list(zip(*(row for row in kept if row is not None), strict=True))
            if not columns:
                return Requests(0)
        found: dict[str, FloatArray | Sequence[bytes]] = {}
        for column, texts, convert in zip(self.format.columns, columns, self._converters, strict=True):
            if column.quantity in self._left_out:
                continue
            found[str(column.quantity)] = convert(texts)
        cpu, held = found.pop("cpu", None), found.get("service_time")
        if cpu is not None and held is not None:
            found["cpu_time"] = np.asarray(cpu) * np.asarray(held)
        return Requests(len(columns[0]), **found)  # type: ignore[arg-type]

    def _again(self, line: bytes) -> Sequence[bytes] | None:
        """Read a line the strict expression refused, or count it as noise."""
        if not line.strip():
            return None
        if self._in_vain < _PATIENCE:
            found = self.format.tolerant.match(line)
            groups = found.groups() if found else self.format.fallback(line) if self.format.fallback else None
            if groups is not None:
                self._in_vain = 0
                return groups
            self._in_vain += 1
        self.noise.add(line)
        return None


Converter = Callable[[Sequence[bytes]], FloatArray | Sequence[bytes]]


def _converter(column: Column) -> Converter:
    if column.quantity in {"route", "client"}:
        return lambda texts: texts
    if column.time_format:
        read = clock(column.time_format)
        return lambda texts: np.fromiter(map(read.__getitem__, texts), float, len(texts))
    if column.quantity in {"status", "memory", "cpu"}:
        # few distinct values, and a look in a dict takes a fifth of reading a number
        remembered = Memo(_number)
        return lambda texts: np.fromiter(map(remembered.__getitem__, texts), float, len(texts)) * column.scale
    return lambda texts: _times(texts) * column.scale


def _times(texts: Sequence[bytes]) -> FloatArray:
    try:
        values = np.fromiter(map(float, texts), float, len(texts))
    except ValueError:
        return np.fromiter(map(_number, texts), float, len(texts))
    return np.where((values >= 0) & (values < _MOST), values, np.nan)


def _number(text: bytes) -> float:
    """Read a number, or the sum of a list such as ``0.100, 0.004``; NaN if there is none that could be counted."""
    try:
        value = float(text)
    except ValueError:
        listed = [float(number) for number in _LISTED.findall(text)]
        value = sum(listed) if listed else math.nan
    return value if 0 <= value < _MOST else math.nan
