"""Logs that name their fields: learned shapes, units, and a fallback that agrees with the fast expression."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fpm.access_log import Noise, Requests, read_access_log
from capacity.fpm.log_line import LineFormat
from capacity.fpm.structured_log import KEYS, learned

from .conftest import least_time

STAMP = "24/Nov/2026:07:46:30 +0000"
MOMENT = 1795506390.0


def known(lines: list[str]) -> LineFormat:
    found = learned([line.encode() for line in lines])
    assert found is not None
    return found


def read(lines: list[str], *, noise: int = 0, form: LineFormat | None = None) -> Requests:
    seen = Noise()
    log = ("\n".join(lines) + "\n").encode()
    [block] = read_access_log([log], form or known(lines), noise=seen)
    assert seen.lines == noise, seen.examples
    return block


JSON_LINE = '{"time":"2026-11-24T07:46:30Z","uri":"/a","status":200,"ip":"192.0.2.7","request_time":0.25,"urt":"0.2"}'
PAIR_LINE = f'ip=192.0.2.7 time=[{STAMP}] uri="/a b" status=200 ua="x \\" y" request_time=0.25 urt=0.1, 0.1 k=1'
LTSV_LINE = f"host:192.0.2.7\ttime:[{STAMP}]\tuser:-\treq:GET /a HTTP/1.1\tstatus:200\treqtime:0.25\tapptime:0.2"
TAIL_LINE = f'192.0.2.7 - - [{STAMP}] "GET /a?status=1 HTTP/1.1" 200 5 "-" "x y=1" "-" rt=0.25 uct="0" urt="0.1, 0.1"'


@pytest.mark.parametrize(
    ("line", "name", "route"),
    [
        (JSON_LINE, "JSON", b"/a"),
        (PAIR_LINE, "key=value", b"/a b"),
        (LTSV_LINE, "LTSV", b"GET /a HTTP/1.1"),
        (TAIL_LINE, "combined followed by key=value", b"GET /a?status=1 HTTP/1.1"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "php_1  | ", "2026-11-24T07:46:30.014275652Z "])
def test_each_kind_is_read_by_the_fast_expression(line: str, name: str, route: bytes, prefix: str) -> None:
    lines = [prefix + line] * 3
    form = known(lines).fitted([text.encode() for text in lines])
    assert form.name == name
    assert form.notes == ()
    assert form.matches([text.encode() for text in lines]) == 3
    block = read(lines, form=form)
    assert (block.ended[0], block.status[0], block.request_time[0]) == (MOMENT, 200, 0.25)
    assert block.upstream_time[0] == pytest.approx(0.2)
    assert (block.route[0], block.client[0]) == (route, b"192.0.2.7")


# --- units

TIMES = [
    ('"duration_ms":250', 0.25),
    ('"durationMs":"250.000"', 0.25),
    ('"duration_us":250000', 0.25),
    ('"reqtime_microsec":250000', 0.25),
    ('"duration_ns":250000000', 0.25),
    ('"elapsed":"250ms"', 0.25),
    ('"elapsed":"250.5 ms"', 0.2505),
    ('"took":"0.25s"', 0.25),
    ('"request_time":0.25', 0.25),
    ('"request_time":2.5e-05', 2.5e-05),
    ('"Response-Time":0.25', 0.25),
    ('"http":{"request":{"duration_ms":250}}', 0.25),
]


@pytest.mark.parametrize(("pair", "value"), TIMES)
def test_a_time_is_in_seconds_whatever_its_unit(pair: str, value: float) -> None:
    lines = [f'{{"path":"/a",{pair}}}'] * 2
    assert known(lines).matches([line.encode() for line in lines]) == 2
    # the second line has another shape: what the fallback reads is the same
    block = read([*lines, f'{{"other":1, "path":"/a", {pair}}}'])
    assert block.request_time == pytest.approx([value] * 3, rel=1e-12)


def test_a_line_in_another_unit_than_most_is_converted() -> None:
    lines = ["path=/a took=250ms"] * 3 + ["path=/b took=1.5s", "path=/c took=90us", "path=/d took=-", "path=/e took=9h"]
    assert read(lines).request_time == pytest.approx([0.25] * 3 + [1.5, 90e-6, np.nan, np.nan], nan_ok=True)


def test_a_time_without_a_unit_is_doubted_and_a_senseless_one_is_not_read() -> None:
    doubtful = known(['{"path":"/a","duration":0.5}'])
    assert "request_time" in doubtful.quantities
    assert "'duration' is taken for seconds; call it duration_ms" in doubtful.notes[0]
    senseless = known(['{"path":"/a","duration":250}'] * 3)
    assert "request_time" not in senseless.quantities
    assert "'duration' is not read: 250 cannot be seconds" in senseless.notes[0]
    assert senseless.notes[1].startswith("no service time")


def test_fpms_own_json_holds_the_service_time() -> None:
    line = '{"URI":"https://x.example/a", "status":"200", "duration_ms":"12.500", "mem_mb":"4", "cpu_percent":"50.00"}'
    block = read([line] * 2)
    assert block.service_time.tolist() == [0.0125] * 2
    assert block.cpu_time == pytest.approx([0.00625] * 2)
    assert block.memory.tolist() == [4 << 20] * 2
    timed = read([line.replace('{"URI"', '{"time":"2026-11-24T07:46:30Z","URI"')])
    assert timed.started[0] == MOMENT


@pytest.mark.parametrize(
    ("pair", "value"), [('"mem_kb":2048', 2 << 20), ('"memory":"2.5MiB"', 2.5 * (1 << 20)), ('"mem":2097152', 2 << 20)]
)
def test_memory_is_in_bytes_whatever_its_unit(pair: str, value: float) -> None:
    assert read([f'{{"path":"/a",{pair}}}', f'{{"x":1,"path":"/a",{pair}}}']).memory.tolist() == [value] * 2


def test_memory_that_cannot_be_bytes_is_not_read() -> None:
    assert "memory" not in known(['{"path":"/a","mem":4}']).quantities


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ('"2026-11-24 07:46:30"', MOMENT),
        ('"2026-11-24T07:46:30.250+00:00"', MOMENT + 0.25),
        ("1795506390", MOMENT),
        ("1795506390.25", MOMENT + 0.25),
        ("1795506390250", MOMENT + 0.25),
        (f'"{STAMP}"', MOMENT),
        (f'"[{STAMP}]"', MOMENT),
    ],
)
@pytest.mark.parametrize("key", ["time", "@timestamp", "ts", "msec", "time_local"])
def test_stamps_are_told_by_their_looks(key: str, value: str, moment: float) -> None:
    lines = [f'{{"{key}":{value},"uri":"/a"}}', f'{{"uri":"/a","{key}":{value}}}']
    assert read(lines).ended.tolist() == [moment] * 2


def test_response_time_is_the_upstreams_where_some_requests_have_none() -> None:
    asked = '{"uri":"/a","response_time":0.1}'
    assert "request_time" in known([asked]).quantities
    lines = [asked, asked, '{"uri":"/b.css","response_time":"-"}']
    assert read(lines).upstream_time.tolist() == pytest.approx([0.1, 0.1, np.nan], nan_ok=True)


# --- shapes


def test_lines_of_other_shapes_are_looked_up() -> None:
    other = json.dumps(dict(reversed(json.loads(JSON_LINE).items())), indent=None)
    block = read([JSON_LINE, JSON_LINE, other])
    assert np.ptp(block.request_time) == np.ptp(block.ended) == 0
    assert set(block.route) == {b"/a"}


def test_a_quantity_only_the_rarer_shape_has_is_read() -> None:
    lines = ['{"uri":"/a.css","status":200}'] * 3 + ['{"uri":"/a","status":200,"upstream_response_time":0.5}']
    assert read(lines).upstream_time.tolist() == pytest.approx([np.nan] * 3 + [0.5], nan_ok=True)


def test_escapes_are_decoded() -> None:
    lines = [r'{"uri":"\/a\u002f\"b\"","request_time":0.5}', '{"uri":"/a/ä","request_time":0.5}']
    assert list(read(lines).route) == [b'/a/"b"', "/a/ä".encode()]
    assert list(read([r'uri="/a?b=\"c\"" took_ms=5']).route) == [b'/a?b="c"']


@pytest.mark.parametrize("unknown", ['"-"', "null", '""', "true", "[]", "{}"])
def test_what_is_unknown_is_unknown(unknown: str) -> None:
    lines = ['{"uri":"/a","request_time":0.5,"x":1}'] * 3 + [f'{{"uri":"/a","request_time":{unknown},"x":1}}']
    assert np.isnan(read(lines).request_time[3])


@pytest.mark.parametrize(
    "junk",
    [
        "NOTICE: ready to handle connections",
        '{"level":"error","time":"2026-11-24T07:46:30Z","msg":"out of memory"}',
        '{"uri":"/a","request_time":',
        "{" * 5000,
        "[" * 60000,
        '{"a":' * 10000 + "1" + "}" * 10000,
        JSON_LINE[:-1] + " " * 70000 + "}",
    ],
    ids=range(7),
)
def test_what_is_no_access_line_is_noise(junk: str) -> None:
    assert read([JSON_LINE] * 3 + [junk], noise=1).count == 3


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"", b"\n"],
        [b"hello world"],
        [b'{"level":"info","time":"2026-11-24T07:46:30Z","msg":"x"}'],
        [b'{"log":"GET /\\n","stream":"stdout","time":"2026-11-24T07:46:30Z"}'],
        [b'{"status":"ok","code":"E17","path":"here"}'],
        [b'::1 - - [24/Nov/2026:07:46:30 +0000] "GET /?a=1 HTTP/1.1" 200 5 "-" "x uri=/a y=2"'],
        [b"{" + b",".join(b'"k%d":1' % n for n in range(5000)) + b',"uri":"/a"}'],
    ],
)
def test_what_says_nothing_of_requests_is_no_structured_log(lines: list[bytes]) -> None:
    assert learned(lines) is None


def test_the_table_has_one_meaning_for_a_key() -> None:
    names = [name for keys in KEYS.values() for name in keys]
    assert len(names) == len(set(names))


# --- whatever comes

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORDS = st.fixed_dictionaries(
    {
        "uri": TEXTS.map("/{}".format),
        "duration_ms": st.integers(0, 10**6),
        "ua": TEXTS,
        "ip": st.sampled_from(["::1", "-"]),
    }
)


@given(st.lists(RECORDS, min_size=1, max_size=6), st.booleans())
def test_every_record_that_was_written_is_read(records: list[dict[str, object]], ascii_only: bool) -> None:
    lines = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    block = read(lines)
    assert block.request_time == pytest.approx([int(str(record["duration_ms"])) / 1000 for record in records])
    assert [route.decode() for route in block.route] == [record["uri"] for record in records]


@given(
    st.lists(
        st.one_of(st.binary(max_size=80), st.sampled_from([JSON_LINE, PAIR_LINE, LTSV_LINE]).map(str.encode)),
        max_size=8,
    )
)
def test_any_bytes_are_learned_or_not(lines: list[bytes]) -> None:
    form = learned(lines)
    if form is not None:
        form.fitted(lines)
        assert form.fallback is None or all(
            row is None or len(row) == len(form.columns) for row in map(form.fallback, lines)
        )


PIECE = [b'"', b" ", b"9", b",", b"{", b'{"a":', b"[", b"a:\t", b" k=", b' k="', b" k=[x", b"\\", b'"\\', b"a.", b", "]


@pytest.mark.parametrize("piece", PIECE)
@pytest.mark.parametrize("line", [JSON_LINE, PAIR_LINE, LTSV_LINE, TAIL_LINE], ids=["json", "pairs", "ltsv", "tail"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_hostile_line_costs_no_more_than_its_length(line: str, piece: bytes, inside: bool) -> None:
    form = known([line])
    head = line.encode()[: len(line) - 4] if inside else b""

    def cost(length: int) -> float:
        hostile = head + piece * (length // len(piece))

        def work() -> None:
            form.strict.findall(hostile + b"\n")
            form.tolerant.match(hostile)
            if form.fallback:
                form.fallback(hostile)
            learned([hostile])

        return least_time(work)

    cost(1000)
    # linear is 4; quadratic would be 16
    assert cost(60000) < 12 * cost(15000) + 0.05
