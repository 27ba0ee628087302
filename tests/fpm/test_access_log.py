"""The streaming reader: nothing lost, nothing read twice, bounded whatever comes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fpm.access_format import WANTED_FORMAT, access_format
from capacity.fpm.access_log import Noise, read_access_log, sample_lines
from capacity.fpm.log_line import LONGEST_LINE

from .conftest import least_time

FORMAT = access_format(WANTED_FORMAT)
LINE = b'192.0.2.%d 24/Nov/2026:07:46:%02d +0000 "GET /shop/%d" 200 %d %d 12.50%%\n'


def log_of(lines: int) -> bytes:
    return b"".join(LINE % (n % 250, n % 60, n, 1000 + n, (n % 9) << 21) for n in range(lines))


def read(chunks: list[bytes] | Iterator[bytes], form=FORMAT) -> tuple[np.ndarray, Noise]:
    noise = Noise()
    blocks = [block.service_time for block in read_access_log(chunks, form, noise=noise)]
    return np.concatenate(blocks) if blocks else np.zeros(0), noise


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=30))
def test_it_does_not_matter_where_the_file_is_cut(sizes: list[int]) -> None:
    log = log_of(150)
    chunks, at = [], 0
    for size in sizes:
        chunks.append(log[at : at + size])
        at += size
    times, noise = read([*chunks, log[at:]])
    assert times == pytest.approx((1000 + np.arange(150)) * 1e-6)
    assert noise.lines == 0


def test_many_blocks_keep_every_line_once_and_in_order() -> None:
    times, noise = read([log_of(20000)])
    assert np.array_equal(times, (1000 + np.arange(20000)) * 1e-6)
    assert noise.lines == 0


def test_noise_is_counted_shown_and_never_fatal() -> None:
    junk = [
        b"NOTICE: ready to handle connections\n",
        b"\x00\xff\x1b[31m\n",
        b"\n",
        b"   \n",
        b'"GET" truncated 24/Nov\n',
    ]
    times, noise = read([junk[0] + log_of(5) + b"".join(junk[1:]) + log_of(5)])
    assert len(times) == 10
    assert noise.lines == 3
    assert len(noise.examples) == 3
    assert all(example.isprintable() for example in noise.examples)


def giant(size: int) -> Iterator[bytes]:
    yield log_of(10)
    for _ in range(size >> 20):
        yield b"x" * (1 << 20)
    yield b"\n" + log_of(10)


def test_a_line_of_100_mb_is_one_line_of_noise_in_bounded_memory() -> None:
    tracemalloc.start()
    times, noise = read(giant(100 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(times) == 20
    assert noise.lines == 1
    assert peak < 8 << 20


@pytest.mark.parametrize("length", [LONGEST_LINE - 100, LONGEST_LINE + 1, 2 * LONGEST_LINE, 5 * LONGEST_LINE])
def test_long_lines_between_good_ones_lose_nothing(length: int) -> None:
    times, noise = read([log_of(3) + b"y" * length + b"\n" + log_of(3)])
    assert (len(times), noise.lines) == (6, 1)


@pytest.mark.parametrize(
    "hostile",
    [b'"' * 60000, b" " * 60000, b"- " * 30000, b'1 24/Nov/2026:07:46:30 +0000 "GET ' + b'" ' * 30000, b"9" * 60000],
    ids=["quotes", "spaces", "words", "almost", "digits"],
)
def test_a_hostile_line_costs_no_more_than_its_length(hostile: bytes) -> None:
    def cost(line: bytes) -> float:
        return least_time(lambda: [read([line + b"\n"]) for _ in range(20)])

    quarter, whole = cost(hostile[: len(hostile) // 4]), cost(hostile)
    # linear is 4; quadratic would be 16
    assert whole < 12 * quarter + 0.05


def test_a_log_of_nothing_but_noise_is_not_read_twice_for_ever() -> None:
    noise = Noise()
    lines = 20000
    log = b'1 24/Nov/2026:07:46:30 +0000 "GET ' + b"a " * 40 + b"\n"
    assert list(read_access_log([log * lines], FORMAT, noise=noise)) == []
    assert noise.lines == lines


@given(st.binary(max_size=2000))
def test_any_bytes(log: bytes) -> None:
    times, noise = read([log])
    assert len(times) + noise.lines <= log.count(b"\n") + log.count(b"\r") + 1


def test_a_number_no_request_can_have_is_unknown() -> None:
    form = access_format("%{micro}d %M %m")
    [block] = read_access_log([b"-5 -7 GET\n5 99999999999999999999 GET\n1-2 .. GET\n"], form)
    assert np.isnan(block.service_time).tolist() == [True, False, False]
    assert np.isnan(block.memory).tolist() == [True, True, True]


def test_the_sample_is_of_whole_lines() -> None:
    assert sample_lines(b"a\r\n\n b\nc") == [b"a", b" b"]
    assert sample_lines(b"only") == [b"only"]
    assert sample_lines(b"") == []
    assert len(sample_lines(b"x\n" * 5000)) == 400
