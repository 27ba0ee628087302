"""Every conversion of access.format, against lines written the way fpm_log.c writes them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput
from capacity.fpm.access_format import DEFAULT_FORMAT, WANTED_FORMAT, access_format
from capacity.fpm.access_log import Noise, read_access_log

STAMP = "24/Nov/2026:07:46:30 +0000"
# conversion, what FPM writes for it, the column and what it is worth in SI
CONVERSIONS = [
    ("%d", "0.251", "service_time", 0.251),
    ("%{seconds}d", "12.000", "service_time", 12.0),
    ("%{milli}d", "268.042", "service_time", 0.268042),
    ("%{mili}d", "268.042", "service_time", 0.268042),
    ("%{milliseconds}d", "0.310", "service_time", 0.00031),
    ("%{miliseconds}d", "1.000", "service_time", 0.001),
    ("%{micro}d", "166824", "service_time", 0.166824),
    ("%{MICROSECONDS}d", "7", "service_time", 7e-6),
    ("%M", "27262976", "memory", 27262976),
    ("%{bytes}M", "2097152", "memory", 2097152),
    ("%{kilo}M", "28672", "memory", 28672 * 1024),
    ("%{kilobytes}M", "2048", "memory", 2048 * 1024),
    ("%{mega}M", "34", "memory", 34 << 20),
    ("%s", "502", "status", 502),
    ("%t", STAMP, "started", 1795506390),
    ("%T", STAMP, "ended", 1795506390),
    ("%{%Y-%m-%dT%H:%M:%S%z}t", "2026-11-24T07:46:30+0000", "started", 1795506390),
    ("%{%s}T", "1795506390", "ended", 1795506390),
    ("%{%d.%m.%y %H:%M:%S}t", "24.11.26 07:46:30", "started", 1795506390),
]


def only(format_text: str, log: bytes):
    noise = Noise()
    blocks = list(read_access_log([log], access_format(format_text), noise=noise))
    assert noise.lines == 0, noise.examples
    [block] = blocks
    return block


@pytest.mark.parametrize(("conversion", "written", "column", "value"), CONVERSIONS)
def test_each_conversion_is_read_in_si(conversion: str, written: str, column: str, value: float) -> None:
    block = only(f"{conversion} %m", f"{written} GET\n".encode())
    assert getattr(block, column)[0] == pytest.approx(value, rel=1e-12)


def test_cpu_time_is_the_share_times_the_service_time_also_above_one_core() -> None:
    block = only("%{micro}d %C", b"7000 134.41\n50000 0.00\n")
    assert block.cpu_time.tolist() == pytest.approx([0.007 * 1.3441, 0.0])


@pytest.mark.parametrize("share", ["nan", "-nan", "inf", "-"])
def test_a_share_that_fpm_could_not_divide_is_unknown_and_the_line_is_read(share: str) -> None:
    block = only("%d %C %m", f"0.000 {share} GET\n".encode())
    assert block.service_time[0] == 0
    assert not block.cpu_time[0] >= 0


@pytest.mark.parametrize("letter", ["user", "system"])
def test_user_or_system_time_alone_is_not_the_cpu_time(letter: str) -> None:
    assert "cpu" not in access_format(f"%d %{{{letter}}}C").quantities


def test_units_may_be_glued_and_percent_signs_written() -> None:
    block = only(r"%R \"%m %r%Q%q\" %s %{mili}dms %{kilo}MKB %C%%", b'- "GET /a?b=1" 200 268.042ms 2048KB 37.31%\n')
    assert block.service_time[0] == pytest.approx(0.268042)
    assert block.memory[0] == 2048 * 1024
    assert block.cpu_time[0] == pytest.approx(0.268042 * 0.3731)
    assert block.route == (b"/a?b=1",)


def test_the_address_asked_for_wins_over_the_front_controller_and_the_visitor_over_the_web_server() -> None:
    block = only(
        "%R %r %f %{REQUEST_URI}e %{REMOTE_ADDR}e %d", b"127.0.0.1 /index.php /w/index.php /shop 192.0.2.7 1\n"
    )
    assert block.route == (b"/shop",)
    assert block.client == (b"192.0.2.7",)


def test_a_json_format_is_a_format_like_any_other() -> None:
    block = only('{"uri":"%{REQUEST_URI}e","ms":"%{mili}d","mb":"%{mega}M"}', b'{"uri":"/a","ms":"12.500","mb":"4"}\n')
    assert (block.service_time[0], block.memory[0], block.route) == (0.0125, 4 << 20, (b"/a",))


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"[php-fpm:access] ",
        b"2024-04-10T14:39:26.708084488Z ",
        b"php_1  | ",
        b"Jun 11 09:22:42 web php-fpm[123]: ",
        b"2018-12-11 16:16:43.296419538 +0100 CET [web-1] ",
    ],
)
def test_what_a_supervisor_puts_before_a_line_is_stepped_over(prefix: bytes) -> None:
    line = b'127.0.0.1 -  09/Mar/2025:09:33:31 +0000 "HEAD /index.php" 200 /w/index.php 2937.938 28672 27.91%\n'
    form = access_format('%R - %u %t "%m %r%Q%q" %s %f %{mili}d %{kilo}M %C%%')
    noise = Noise()
    [block] = read_access_log([prefix + line], form, noise=noise)
    assert (block.service_time[0], noise.lines) == (pytest.approx(2.937938), 0)
    fitted = form.fitted([prefix + line] * 3)
    assert fitted.matches([prefix + line]) == 1


def test_a_quote_in_an_address_does_not_lose_the_line() -> None:
    block = only('"%m %{REQUEST_URI}e" %s %d', b'"GET /a?q="quoted"&b" 200 0.5\n')
    assert block.service_time[0] == 0.5
    assert block.route == (b'/a?q="quoted"&b',)


def test_variables_that_touch_are_one_text_and_two_such_places_are_refused() -> None:
    assert only("%{X}e%r %d", b"abc/a 0.5\n").route == (b"abc/a",)
    with pytest.raises(InvalidInput, match="must have something between its variables"):
        access_format("%r%s%f%d %m")


def test_a_prefix_does_not_become_part_of_the_address() -> None:
    line = b"web-1 app: 192.0.2.1 0.5\n"
    [block] = read_access_log([line], access_format("%R %d"))
    assert block.client == (b"192.0.2.1",)


def test_crlf_and_a_last_line_without_newline() -> None:
    assert only("%d %s", b"0.5 200\r\n0.25 200").service_time.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("%{weeks}d", "must have %d in seconds, milli or micro"),
        ("%{giga}M", "must have %M in bytes, kilo or mega"),
        ("%{idle}C", "must have %C total, user or system"),
        ("%Z %d", "must have conversions that FPM knows"),
        ("%d %", "must have a letter after every %"),
        ("%{%Q}t", "must have a time format that can be read back"),
        ("", "must be one line"),
        ("hello", "says nothing of a request"),
        ("%d\n%M", "must be one line"),
    ],
)
def test_a_format_fpm_would_refuse_is_refused_with_its_rule(text: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        access_format(text)


def test_what_a_format_does_not_log_is_said() -> None:
    [note] = access_format(DEFAULT_FORMAT).notes
    assert "%{micro}d" in note
    assert "%M" in note
    assert access_format(WANTED_FORMAT).notes == ()
    assert any("no time" in note for note in access_format("%d %M %C").notes)
    assert any("UTC" in note for note in access_format("%d %M %C %{%H:%M:%S}t").notes)


@given(st.text(max_size=60))
def test_any_text_is_a_format_or_a_clear_error(text: str) -> None:
    with suppress(CapacityError):
        access_format(text).strict.findall(b"a b c\n")


@given(
    st.lists(
        st.sampled_from(["%d", "%M", "%C", "%s", "%r", "%f", "%R", "%t", "%p", "%{X}e", " ", '"', "-"]), max_size=9
    ),
    st.binary(max_size=300),
)
def test_any_bytes_are_requests_or_noise(pieces: list[str], log: bytes) -> None:
    noise = Noise()
    try:
        compiled = access_format("".join(pieces))
    except CapacityError:
        return
    read = sum(block.count for block in read_access_log([log], compiled, noise=noise))
    lines = [line for line in log.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    assert read + noise.lines <= len(log.split(b"\n")) + len(lines)
