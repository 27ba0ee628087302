"""Logs on disk, in every state an operator leaves them in."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest

from capacity.errors import UnreadableFile
from capacity.fpm.access_format import access_format
from capacity.measure.logs import LogReading, chunks_of

FORM = access_format("%t %r %{micro}d")
# too random to be packed well, so that a packed log has several pieces, too
NUMBERS = np.random.default_rng(1).integers(1000, 999_999, 60_000).tolist()


def lines(first: int, last: int) -> bytes:
    line = b"24/Nov/2026:%02d:%02d:%02d +0000 /r/%d %d\n"
    return b"".join(line % (n // 3600 % 24, n // 60 % 60, n % 60, NUMBERS[-n], NUMBERS[n]) for n in range(first, last))


LOG = lines(0, 60_000)


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def mean(first: int, last: int) -> float:
    return float(np.mean(NUMBERS[first:last])) * 1e-6


@pytest.fixture
def packed(tmp_path: Path) -> str:
    return written(tmp_path / "packed.log", gzip.compress(LOG))


def test_a_plain_log_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "access.log", LOG)
    chunks = list(chunks_of(path))
    assert b"".join(chunk for chunk, _ in chunks) == LOG
    assert len(chunks) > 1
    assert chunks[-1][1] == len(LOG)
    reading = LogReading([path], line_format=FORM)
    reading.read()
    history, window = reading.result()
    assert history is not None
    assert history.time is not None
    assert (history.requests, history.noise.lines) == (60_000, 0)
    assert history.time.value == pytest.approx(mean(0, 60_000))
    assert window is not None
    assert window.requests == 0


def test_a_packed_log_is_told_by_its_content(packed: str) -> None:
    reading = LogReading([packed], line_format=FORM)
    reading.read()
    history, _ = reading.result()
    assert history is not None
    assert history.requests == 60_000


def test_a_plain_log_may_be_called_gz(tmp_path: Path) -> None:
    reading = LogReading([written(tmp_path / "access.log.gz", lines(0, 5))], line_format=FORM)
    reading.read()
    history, _ = reading.result()
    assert history is not None
    assert history.requests == 5


def test_packed_pieces_behind_each_other_are_one_log(tmp_path: Path) -> None:
    path = written(tmp_path / "two.gz", gzip.compress(lines(0, 5)) + gzip.compress(lines(5, 9)) + bytes(512))
    assert b"".join(chunk for chunk, _ in chunks_of(path)) == lines(0, 9)


@pytest.mark.parametrize("length", [2, 9, 1000, -9])
def test_a_cut_packed_log_is_an_error_and_what_was_read_stays(packed: str, length: int, tmp_path: Path) -> None:
    data = Path(packed).read_bytes()
    cut = written(tmp_path / "cut.gz", data[:length])
    reading = LogReading([packed, cut], line_format=FORM)
    with pytest.raises(UnreadableFile, match=r"cut\.gz.?: "):
        reading.read()
    history, _ = reading.result()
    assert history is not None
    assert history.requests >= 60_000


def test_a_broken_packed_log_is_an_error(packed: str, tmp_path: Path) -> None:
    data = bytearray(Path(packed).read_bytes())
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(UnreadableFile, match="broken"):
        list(chunks_of(written(tmp_path / "broken.gz", bytes(data))))


@pytest.mark.parametrize("path", ["missing.log", "", "a\0b", "x" * 5000])
def test_a_log_that_is_not_there(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableFile) as refused:
        LogReading([path], line_format=FORM).read()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_a_directory_a_pipe_and_a_terminal_are_no_logs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UnreadableFile, match="no regular file"):
            LogReading([str(path)], line_format=FORM).read()


def test_a_log_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "secret.log", LOG)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(UnreadableFile, match=r"secret\.log.?: Permission denied"):
        LogReading([path], line_format=FORM).read()


def test_several_logs_are_one_and_the_window_is_its_end(tmp_path: Path, packed: str) -> None:
    paths = [
        written(tmp_path / "b.log.1.gz", gzip.compress(lines(0, 1000))),
        written(tmp_path / "b.empty", b""),
        written(tmp_path / "b.log", lines(1000, 3000)),
    ]
    began = 1795478400.0 + 2500
    reading = LogReading(paths, line_format=FORM, since=began)
    reading.read()
    history, window = reading.result()
    assert history is not None
    assert window is not None
    assert history.time is not None
    assert window.time is not None
    assert (history.requests, window.requests, window.first) == (3000, 500, began)
    assert history.time.value == pytest.approx(mean(0, 3000))
    assert window.time.value == pytest.approx(mean(2500, 3000))


@pytest.mark.parametrize("data", [b"", b"\n" * 3_000_000, gzip.compress(b"", mtime=0)])
def test_nothing_in_it_is_no_traffic(data: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "empty.log", data)
    told: list[tuple[int, int]] = []
    reading = LogReading([path], line_format=FORM)
    reading.read(told=lambda done, total: told.append((done, total)))
    assert reading.result() == (None, None)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_zeros_before_the_log_hide_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "truncated.log", bytes(3 << 20) + b"\n" + lines(0, 100))
    reading = LogReading([path], line_format=FORM)
    reading.read()
    history, _ = reading.result()
    assert history is not None
    assert history.requests == 100


def test_progress_reaches_the_whole(tmp_path: Path, packed: str) -> None:
    plain = written(tmp_path / "plain.log", LOG)
    told: list[tuple[int, int]] = []
    LogReading([packed, plain, packed], line_format=FORM).read(told=lambda done, total: told.append((done, total)))
    total = 2 * os.path.getsize(packed) + len(LOG)  # noqa: PTH202
    assert {whole for _, whole in told} == {total}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 3
    # of a packed log the last few bytes are its checksum
    assert total - 16 <= told[-1][0] <= total


def test_an_interrupt_keeps_what_was_read(tmp_path: Path) -> None:
    path = written(tmp_path / "access.log", LOG)
    calls: list[int] = []

    def interrupt(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == 3:
            raise KeyboardInterrupt

    reading = LogReading([path], line_format=FORM, since=0.0)
    with pytest.raises(KeyboardInterrupt):
        reading.read(told=interrupt)
    history, window = reading.result()
    assert history is not None
    assert window is not None
    assert history.requests == window.requests
    # two pieces were read; of the second at most a block is still on its way
    assert LOG[: calls[1]].count(b"\n") - history.requests < (1 << 17) / 40
    assert history.requests < 60_000


def test_an_interrupt_at_once_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    reading = LogReading([written(tmp_path / "access.log", LOG)], line_format=FORM, since=-math.inf)
    with pytest.raises(KeyboardInterrupt):
        reading.read(told=interrupt)
    assert reading.result() == (None, None)
