"""nginx' log_format and Apache's LogFormat, against lines written the way these servers write them."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput
from capacity.fpm.access_log import Noise, Requests, read_access_log
from capacity.fpm.log_line import LineFormat
from capacity.fpm.web_format import APACHE_FORMATS, COMBINED, NGINX_FORMATS, apache_format, nginx_format, web_formats

from .conftest import least_time

STAMP = "24/Nov/2026:07:46:30 +0000"
MOMENT = 1795506390.0


def only(line_format: LineFormat, *lines: str, noise: int = 0) -> Requests:
    seen = Noise()
    [block] = read_access_log([("\n".join(lines) + "\n").encode()], line_format, noise=seen)
    assert seen.lines == noise, seen.examples
    return block


# --- one variable at a time


@pytest.mark.parametrize(
    ("variable", "written", "column", "value"),
    [
        ("$time_local", STAMP, "ended", MOMENT),
        ("$time_iso8601", "2026-11-24T08:46:30+01:00", "ended", MOMENT),
        ("$msec", "1795506390.250", "ended", MOMENT + 0.25),
        ("$request_time", "0.012", "request_time", 0.012),
        ("${request_time}", "12.345", "request_time", 12.345),
        ("$upstream_response_time", "0.036", "upstream_time", 0.036),
        ("$upstream_response_time", "0.100, 0.004", "upstream_time", 0.104),
        ("$upstream_response_time", "1.000, -, 2.000", "upstream_time", 3.0),
        ("$upstream_response_time", "0.1 : 0.2", "upstream_time", 0.3),
        ("$upstream_response_time", "-", "upstream_time", np.nan),
        ("$status", "502", "status", 502),
    ],
)
def test_each_nginx_variable_is_read_in_si(variable: str, written: str, column: str, value: float) -> None:
    block = only(nginx_format(f"{variable} $connection"), f"{written} 7")
    assert getattr(block, column)[0] == pytest.approx(value, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("conversion", "written", "column", "value"),
    [
        ("%t", f"[{STAMP}]", "started", MOMENT),
        ("%{%Y-%m-%dT%H:%M:%S%z}t", "2026-11-24T07:46:30+0000", "started", MOMENT),
        ("%{begin:%F %T}t", "2026-11-24 07:46:30", "started", MOMENT),
        ("%{end:sec}t", "1795506390", "ended", MOMENT),
        ("%{msec}t", "1795506390250", "started", MOMENT + 0.25),
        ("%{usec}t", "1795506390250000", "started", MOMENT + 0.25),
        ("%{sec}t.%{msec_frac}t", "1795506390.250", "started", MOMENT + 0.25),
        ("%{%Y-%m-%d %T}t.%{usec_frac}t %{%z}t", "2026-11-24 07:46:30.250000 +0000", "started", MOMENT + 0.25),
        ("%D", "12345", "request_time", 0.012345),
        ("%{us}T", "12345", "request_time", 0.012345),
        ("%{ms}T", "12", "request_time", 0.012),
        ("%{s}T", "3", "request_time", 3),
        ("%T", "3", "request_time", 3),
        ("%>s", "404", "status", 404),
        ("%<s", "404", "status", 404),
    ],
)
def test_each_apache_conversion_is_read_in_si(conversion: str, written: str, column: str, value: float) -> None:
    block = only(apache_format(f"{conversion} %k"), f"{written} 7")
    assert getattr(block, column)[0] == pytest.approx(value, rel=1e-12)


# --- whole formats


def test_the_directive_is_read_as_it_stands_in_the_configuration() -> None:
    directive = r"""log_format main escape=json '{"uri":"$request_uri",' "\"took\":$request_time,"
        '"upstream":"$upstream_response_time"}';"""
    assert only(nginx_format(directive), '{"uri":"/a?q=\\"x\\"","took":0.5,"upstream":""}').request_time[0] == 0.5
    assert nginx_format("'$status ' '$request_time';").quantities == {"status", "request_time"}


def test_the_apache_directive_is_read_as_it_stands_in_the_configuration() -> None:
    directive = r'LogFormat "%h \"%r\" %>s %D \"%{User-Agent}i\"" timed'
    block = only(apache_format(directive), r'::1 "GET /a?q=\"b\" HTTP/1.1" 200 2500 "an \"agent\""')
    assert (block.request_time[0], block.route) == (0.0025, (rb"GET /a?q=\"b\" HTTP/1.1",))


@pytest.mark.parametrize(
    ("dialect", "text", "line", "client"),
    [
        (
            nginx_format,
            '$remote_addr "$http_x_forwarded_for" $status',
            '10.0.0.1 "192.0.2.7, 10.0.0.9" 200',
            b"192.0.2.7",
        ),
        (nginx_format, "$http_x_forwarded_for $remote_addr", "192.0.2.7, 10.0.0.9 10.0.0.1", b"192.0.2.7"),
        (nginx_format, "$http_x_forwarded_for|$remote_addr", "192.0.2.7, 10.0.0.9|10.0.0.1", b"192.0.2.7"),
        (nginx_format, "$proxy_protocol_addr $remote_addr", "192.0.2.7 10.0.0.1", b"192.0.2.7"),
        (apache_format, "%{X-Forwarded-For}i %h %a", "192.0.2.7, 10.0.0.9 10.0.0.1 10.0.0.1", b"192.0.2.7"),
        (apache_format, "%h %D", "2001:db8::1 12", b"2001:db8::1"),
    ],
)
def test_the_visitor_is_the_first_forwarded_address(dialect, text: str, line: str, client: bytes) -> None:
    assert only(dialect(text), line).client == (client,)


@pytest.mark.parametrize(
    ("dialect", "text", "line", "route"),
    [
        (nginx_format, '"$request" $uri $request_uri $status', '"GET /a HTTP/1.1" /index.php /a?b=1 200', b"/a?b=1"),
        (nginx_format, "$uri$is_args$args $status", "/a?b=1 200", b"/a?b=1"),
        (nginx_format, "$scheme://$host$request_uri $status", "https://x.example/a 200", b"x.example/a"),
        (apache_format, '"%m %U%q %H" %>s', '"GET /a?b=1 HTTP/2.0" 200', b"/a?b=1"),
        (apache_format, '%f "%r"', '/w/index.php "GET /a HTTP/1.1"', b"GET /a HTTP/1.1"),
    ],
)
def test_the_route_is_the_address_that_was_asked_for(dialect, text: str, line: str, route: bytes) -> None:
    assert only(dialect(text), line).route == (route,)


def test_the_finest_stamp_of_a_line_is_read() -> None:
    assert only(nginx_format("[$time_local] $msec x"), f"[{STAMP}] 1795506390.250 x").ended[0] == MOMENT + 0.25


def test_a_field_of_some_requests_only_is_stepped_over() -> None:
    assert only(apache_format("%!200,304{User-agent}i %D"), "- 12").request_time[0] == pytest.approx(12e-6)


def test_ingress_lines_with_several_upstreams() -> None:
    head = f'::1 - - [{STAMP}] "GET / HTTP/1.1" 200 61 "-" "UA (x; y)" 348 0.104 [web-8080] [] '
    block = only(
        nginx_format(NGINX_FORMATS["ingress-nginx"]),
        head + "172.17.0.6:8080, 172.17.0.7:8080 61, 100 0.100, 0.004 200, 203 835136ae",
        head + "- - - - 4c7d2079",
        head + "unix:/var/run/php-fpm.sock 59 0.002 200 0f76ea73",
        head + "[2a02::7]:50, [2a02::8]:50 0, 0 0.000, - 502, - 3db73c6c",
    )
    assert block.upstream_time.tolist() == pytest.approx([0.104, np.nan, 0.002, 0.0], nan_ok=True)


def test_a_virtual_host_before_the_line_is_no_part_of_the_client() -> None:
    block = only(nginx_format(COMBINED), f'www.example.com 192.0.2.1 - - [{STAMP}] "GET / HTTP/1.1" 200 5 "-" "x"')
    assert block.client == (b"192.0.2.1",)


def test_a_list_before_a_comma_of_the_format_ends_there() -> None:
    assert only(nginx_format("$upstream_response_time, $status"), "0.5, 200").upstream_time[0] == 0.5


def test_presets_read_what_their_servers_write() -> None:
    line = f'192.0.2.1 - ann [{STAMP}] "GET /a HTTP/1.1" 200 512 "https://x.example/" "Mozilla/5.0 (X11)"'
    reads = {form.name for form in web_formats() if form.matches([line.encode()])}
    assert reads == {"nginx combined", "Apache combined"}
    assert apache_format(APACHE_FORMATS["Apache vhost_combined"]).matches([b"x.example:443 " + line.encode()]) == 1
    assert apache_format(APACHE_FORMATS["Apache common"]).matches([line.partition(' "https')[0].encode()]) == 1


# --- what a format does not tell, and what is none


def test_what_is_missing_is_said_in_the_planners_words() -> None:
    [note] = nginx_format(COMBINED).notes
    assert note.startswith("no service time")
    assert "$upstream_response_time" in note
    assert "%D" in apache_format(APACHE_FORMATS["Apache common"]).notes[0]
    assert any("sending of the answer" in note for note in nginx_format(f"{COMBINED} $request_time").notes)
    assert any("whole seconds" in note for note in apache_format("%t %T").notes)
    assert any("no time of day" in note for note in nginx_format("$status $upstream_response_time").notes)
    assert any("UTC" in note for note in apache_format("%{%F %T}t %D").notes)
    assert nginx_format(f"{COMBINED} $upstream_response_time").notes == ()


@pytest.mark.parametrize(
    ("dialect", "text", "rule"),
    [
        (nginx_format, "", "must be a format"),
        (nginx_format, "$status" * 2000, "must be a format"),
        (nginx_format, "hello", "says nothing of a request"),
        (nginx_format, "$stattus", "says nothing of a request"),
        (nginx_format, "$status\n$request_time", "must be one line"),
        (nginx_format, "log_format main '$status", "must be quoted pieces"),
        (nginx_format, "log_format main '$status'; log_format x '$uri';", "must be quoted pieces"),
        (nginx_format, "$uri$status $host$status $args$status", "must have something between"),
        (apache_format, "%D %", "must have a letter after every %"),
        (apache_format, "%{D", "must have a letter after every %"),
        (apache_format, "%{%Q}t", "must have a time format that can be read back"),
        (apache_format, "%l", "says nothing of a request"),
    ],
)
def test_what_is_no_format_is_refused_with_its_rule(dialect, text: str, rule: str) -> None:
    with pytest.raises(InvalidInput, match=rule):
        dialect(text)


PIECES = [
    "$",
    "%",
    "{",
    "}",
    "'",
    '"',
    "\\",
    " ",
    ";",
    "[",
    "$status",
    "$uri",
    "%D",
    "%t",
    "%{%F}t",
    "log_format x ",
    "a",
]


@given(
    st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map("".join)), st.binary(max_size=90)
)
def test_any_text_is_a_format_or_a_clear_error(text: str, line: bytes) -> None:
    for dialect in (nginx_format, apache_format):
        with suppress(CapacityError):
            compiled = dialect(text)
            compiled.strict.findall(line + b"\n")
            compiled.tolerant.match(line)


@pytest.mark.parametrize("piece", [b'"', b" ", b"9", b", ", b"- ", b"{", b'a" 1 ', b'" "', b"[a] ", b"0.1, ", b" : "])
@pytest.mark.parametrize("head", [b"", f'::1 - - [{STAMP}] "GET / HTTP/1.1" 200 5 "-" "x" 5 0.1 [a] [] '.encode()])
def test_a_hostile_line_costs_no_more_than_its_length(head: bytes, piece: bytes) -> None:
    formats = [*web_formats(), nginx_format('"$http_x_forwarded_for" $uri$status x')]

    def cost(length: int) -> float:
        line = head + piece * (length // len(piece))

        def work() -> None:
            for line_format in formats:
                line_format.strict.findall(line + b"\n")
                line_format.tolerant.match(line)

        return least_time(work)

    cost(1000)  # compiles
    # linear is 4; quadratic would be 16
    assert cost(60000) < 12 * cost(15000) + 0.05
