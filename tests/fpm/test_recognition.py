"""Which format a sample has: the most telling one that reads enough of it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput
from capacity.fpm import web_format
from capacity.fpm.access_format import access_format
from capacity.fpm.access_log import Noise, read_access_log
from capacity.fpm.recognition import recognise
from capacity.fpm.web_format import nginx_format

from .conftest import least_time

STAMP = "24/Nov/2026:07:46:30 +0000"
COMBINED = f'192.0.2.1 - - [{STAMP}] "GET /a HTTP/1.1" 200 512 "https://x.example/" "Mozilla/5.0 (X11)"'
STOCK = f'127.0.0.1 -  {STAMP} "GET /index.php" 200 /w/index.php 12.500 2048 80.00%'

SAMPLES = {
    "nginx combined": COMBINED,
    "nginx main": f'{COMBINED} "-"',
    "Apache common": COMBINED.partition(' "https')[0],
    "Apache vhost_combined": f"x.example:443 {COMBINED}",
    "ingress-nginx": f"{COMBINED} 348 0.012 [web-80] [] 10.0.0.6:80 61 0.011 200 8351",
    "combined followed by key=value": f'{COMBINED} rt=0.012 uct="0.000" urt="0.011"',
    "combined followed by two times": f'{COMBINED} 0.012 "0.010, 0.001" .',
    "combined followed by a time": f'{COMBINED} "-" 0.012',
    "combined followed by a whole number": f"{COMBINED} 12000",
    "common or combined followed by something": f'{COMBINED} "-" 10 10',
    "access.format (commented in www.conf)": STOCK,
    "access.format (default)": f'127.0.0.1 -  {STAMP} "GET /index.php" 200',
    "access.format (wanted)": f'192.0.2.1 {STAMP} "GET /a" 200 12500 2097152 80.00%',
    "JSON": '{"time":"2026-11-24T07:46:30Z","uri":"/a","status":200,"request_time":0.012}',
    "LTSV": f"host:192.0.2.1\ttime:[{STAMP}]\treq:GET /a HTTP/1.1\tstatus:200\treqtime:0.012",
    "key=value": "time=2026-11-24T07:46:30Z uri=/a status=200 request_time=0.012",
}
PREFIXES = ["", "php_1  | ", "[php-fpm:access] ", "2026-11-24T07:46:30.014275652Z ", "Nov 24 07:46:30 web app[1]: "]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("name", "line"), SAMPLES.items(), ids=SAMPLES)
def test_each_format_is_recognised_and_read_whatever_stands_before_it(name: str, line: str, prefix: str) -> None:
    log = (f"{prefix}{line}\n" * 20).encode()
    found = recognise(log.splitlines())
    # behind other words a virtual host is one more of them
    assert found.name == name or (prefix and "vhost" in name and found.name == "nginx combined")
    noise = Noise()
    [block] = read_access_log([log], found, noise=noise)
    assert (block.count, noise.lines) == (20, 0)
    assert found.matches(log.splitlines()) == 20
    for kind in ("service_time", "upstream_time", "request_time"):
        times = getattr(block, kind)
        assert times is None or times[0] == pytest.approx(0.0125 if "access" in name else 0.012, abs=0.0011)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("combined followed by ")][1:])
def test_a_guess_is_said_to_be_one(name: str) -> None:
    assert "give the log's format" in recognise([SAMPLES[name].encode()]).notes[0]


def test_the_callers_format_comes_first() -> None:
    mine = access_format('%R - %u %t "%m %r" %s', name="access.format of pool www")
    assert recognise([SAMPLES["access.format (default)"].encode()], candidates=[mine]).name == mine.name
    # but not where it does not fit
    assert recognise([COMBINED.encode()], candidates=[mine]).name == "nginx combined"


def test_the_callers_format_may_say_what_would_else_be_guessed() -> None:
    mine = nginx_format(f"{web_format.COMBINED} $upstream_response_time", name="mine")
    found = recognise([f"{COMBINED} 0.012".encode()], candidates=[mine])
    assert (found.name, "upstream_time" in found.quantities) == ("mine", True)


def test_the_lines_of_php_are_found_among_those_of_the_web_server() -> None:
    lines = [COMBINED] * 6 + [f"[php-fpm:access] {STOCK}"] * 4
    found = recognise([line.encode() for line in lines])
    assert "service_time" in found.quantities
    assert found.prefix_words == 1


def test_a_few_telling_lines_do_not_decide() -> None:
    lines = [COMBINED] * 8 + [STOCK] * 2
    assert recognise([line.encode() for line in lines]).name == "nginx combined"


def test_a_forwarded_address_is_the_client_where_most_lines_have_one() -> None:
    proxied, direct = f'{COMBINED} "198.51.100.7, 10.0.0.1"\n'.encode(), f'{COMBINED} "-"\n'.encode()
    for log, client in ((proxied * 3 + direct, b"198.51.100.7"), (proxied + direct * 3, b"192.0.2.1")):
        [block] = read_access_log([log], recognise(log.splitlines()))
        assert client in block.client


@pytest.mark.parametrize("lines", [[], [b""], [b"\n", b"  "]])
def test_no_lines_have_no_format(lines: list[bytes]) -> None:
    with pytest.raises(InvalidInput, match="must have lines"):
        recognise(lines)


def test_an_unknown_format_is_shown_with_what_was_tried_and_what_to_do() -> None:
    lines = [b"one \x1b[31mtwo", COMBINED.encode(), b"three"]
    with pytest.raises(InvalidInput) as caught:
        recognise(lines)
    message = str(caught.value)
    assert message.isprintable()
    assert r"got 'one \x1b[31mtwo'" in message
    assert "nginx combined" in message
    assert "give the access.format, log_format or LogFormat" in message


def test_half_of_the_lines_are_enough() -> None:
    assert recognise([b"noise", COMBINED.encode()]).name == "nginx combined"


def test_dockers_own_wrapping_is_named() -> None:
    with pytest.raises(InvalidInput, match="docker logs"):
        recognise([b'{"log":"GET /a\\n","stream":"stdout","time":"2026-11-24T07:46:30Z"}'] * 3)


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([line.encode() for line in SAMPLES.values()])), max_size=6
    )
)
def test_any_lines_have_a_format_or_a_clear_error(lines: list[bytes]) -> None:
    with suppress(CapacityError):
        assert recognise(lines).columns


@pytest.mark.parametrize("piece", [b'"', b"9", b", ", b"{", b'{"a":', b" k=", b" k=[x", b"- ", b"a:\t", b'a" 1 ', b"x"])
def test_a_hostile_sample_costs_no_more_than_its_length(piece: bytes) -> None:
    def cost(length: int) -> float:
        def work() -> None:
            with suppress(CapacityError):
                recognise([piece * (length // len(piece))] * 3)

        return least_time(work)

    cost(1000)
    # linear is 4; quadratic would be 16
    assert cost(60000) < 12 * cost(15000) + 0.05
