"""Access logs on disk: opened, recognised and summed up, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from capacity.errors import UnreadableFile
from capacity.fpm.access_log import sample_lines
from capacity.fpm.log_line import LineFormat
from capacity.fpm.recognition import recognise
from capacity.fpm.traffic import Traffic, TrafficTally
from capacity.units import shown

__all__ = ["LogReading", "chunks_of", "look_at", "pieces_of", "recognised"]

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


class LogReading:
    """Reads one or more access logs of a pool, oldest first; what was read stays if it is interrupted.

    Parameters
    ----------
    paths : sequence of str
        Regular files; ``.gz`` or not is told by their content.
    line_format : LineFormat, optional
        How to read them; recognised from the first lines if not given.
    candidates : sequence of LineFormat
        What is tried first when it has to be recognised.
    since : float
        When the window began that is summed up on its own [s since the epoch].
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        line_format: LineFormat | None = None,
        candidates: Sequence[LineFormat] = (),
        since: float = math.inf,
    ) -> None:
        self._paths = paths
        self._format = line_format
        self._candidates = candidates
        self.since = since
        self._history: TrafficTally | None = None
        self._window: TrafficTally | None = None

    def read(self, *, told: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Read everything.

        Parameters
        ----------
        told : callable
            Called with the bytes read so far and those of all files; what it raises ends the reading.

        Raises
        ------
        UnreadableFile
            If a file cannot be read.
        InvalidInput
            If its format cannot be told.
        """
        for chunks in pieces_of(self._paths, told):
            self._read_one(chunks)

    def result(self) -> tuple[Traffic | None, Traffic | None]:
        """Give what was read: all of it, and the window's part.

        Returns
        -------
        tuple of (Traffic or None, Traffic or None)
            None where nothing was read.
        """
        return tuple(None if tally is None else tally.result() for tally in (self._history, self._window))  # type: ignore[return-value]

    def _read_one(self, chunks: Iterator[bytes]) -> None:
        if self._history is None:
            found = recognised(chunks, line_format=self._format, candidates=self._candidates)
            if found is None:
                return
            line_format, chunks = found
            self._history, self._window = TrafficTally(line_format), TrafficTally(line_format)
        history, window = self._history, self._window
        assert window is not None
        for requests in history.read(chunks):
            history.add(requests)
            if self.since < math.inf:
                window.add(requests, since=self.since)


def recognised(
    chunks: Iterator[bytes], *, line_format: LineFormat | None = None, candidates: Sequence[LineFormat] = ()
) -> tuple[LineFormat, Iterator[bytes]] | None:
    """Tell the format of a log by its first lines.

    Parameters
    ----------
    chunks : iterator of bytes
        The log, unpacked.
    line_format : LineFormat, optional
        What is known of it; words before each line are still looked for.
    candidates : sequence of LineFormat
        What is tried first.

    Returns
    -------
    tuple of (LineFormat, iterator of bytes) or None
        The format and the log from its first line on; None where there is no line.

    Raises
    ------
    InvalidInput
        If the format cannot be told.
    """
    # a rotated log may begin with megabytes of zeros where the writer went on at its old offset
    for first in chunks:
        if lines := sample_lines(first):
            known = line_format.fitted(lines) if line_format is not None else recognise(lines, candidates=candidates)
            return known, _before(first, chunks)
    return None


def look_at(path: str) -> None:
    """Read the first piece of a log, so that one that cannot be read is told before anything else is done.

    Parameters
    ----------
    path : str

    Raises
    ------
    UnreadableFile
    """
    next(chunks_of(path), None)


def pieces_of(paths: Sequence[str], told: Callable[[int, int], object]) -> Iterator[Iterator[bytes]]:
    """Read logs one after the other, and tell how far it is.

    Parameters
    ----------
    paths : sequence of str
    told : callable
        Called with the bytes read so far and those of all files.

    Yields
    ------
    iterator of bytes
        Of one log, to be read to its end before the next.

    Raises
    ------
    UnreadableFile
    """
    sizes = [_size(path) for path in paths]
    for place, path in enumerate(paths):
        yield _told_of(path, sum(sizes[:place]), sum(sizes), told)


def _told_of(path: str, before: int, total: int, told: Callable[[int, int], object]) -> Iterator[bytes]:
    for chunk, at in chunks_of(path):
        told(before + at, total)
        yield chunk


def chunks_of(path: str) -> Iterator[tuple[bytes, int]]:
    """Read a log in pieces, unpacking gzip.

    Parameters
    ----------
    path : str

    Yields
    ------
    tuple of (bytes, int)
        A piece, and how far the file on disk has been read [byte].

    Raises
    ------
    UnreadableFile
    """
    try:
        # The path may come from a configuration: never wait on a pipe or a terminal.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise _unreadable(path, "it is no regular file (logs that go to standard error are kept elsewhere)")
        with Path(path).open("rb") as file:
            # A log that is being written to is read as far as it had come; else one that grows fast never ends.
            size = os.fstat(file.fileno()).st_size
            packed = file.read(2) == _GZIP
            file.seek(0)
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]
            while chunk := stream.read(_CHUNK if packed else min(_CHUNK, max(0, size - file.tell()))):
                yield chunk, file.tell()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if isinstance(error, UnreadableFile):
            raise
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise _unreadable(path, reason) from None


def _unreadable(path: str, reason: str) -> UnreadableFile:
    return UnreadableFile(f"{shown(path, longest=200)}: {reason}")


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0


def _before(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
