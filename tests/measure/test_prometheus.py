"""A Prometheus in a thread that answers as the real one does, and servers that do anything but."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput, MeasurementError
from capacity.fpm.series import ACCEPTED, ACTIVE, Series, load_of
from capacity.measure.prometheus import LARGEST_ANSWER, active_processes, query_range, read_range

NINE = 1795510800.0  # 2026-11-24 09:00:00 UTC
HOUR: dict[str, Any] = {"start": NINE, "end": NINE + 3600, "step": 15}
WWW = {"__name__": ACTIVE, "instance": "web1:9253", "job": "fpm", "pool": "www"}


def matrix(*series: tuple[dict[str, str], list[list[object]]], **more: object) -> dict[str, object]:
    result = [{"metric": metric, "values": values} for metric, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **more}


def read(answer: object) -> Any:
    return read_range(json.dumps(answer).encode())


# --- the answer -----------------------------------------------------------------------------------------------------


def test_every_series_comes_with_its_labels_and_values_are_text() -> None:
    values = [[NINE, "3"], [NINE + 15.5, "4.5e0"]]
    www, shop = read(matrix((WWW, values), ({"__name__": ACTIVE, "pool": "shop"}, [[NINE, "1"]])))
    assert (www.name, www.labels) == (ACTIVE, {"instance": "web1:9253", "job": "fpm", "pool": "www"})
    assert (www.times.tolist(), www.values.tolist(), www.notes) == ([NINE, NINE + 15.5], [3, 4.5], ())
    assert (shop.labels, shop.values.tolist()) == ({"pool": "shop"}, [1])


def test_what_is_no_number_is_left_out_and_counted() -> None:
    bad: list[Any] = [[NINE, "NaN"], [NINE, "+Inf"], [NINE, "-Inf"], [NINE, None], [None, "1"], [1e300, "1"], [NINE], 7]
    [series] = read(matrix((WWW, [[NINE, "3"], *bad])))
    assert series.values.tolist() == [3]
    assert series.notes == ("samples that are no number are left out: 8 of 9",)


def test_a_vector_and_a_scalar_are_one_sample_and_nothing_is_no_series() -> None:
    vector = {"resultType": "vector", "result": [{"metric": WWW, "value": [NINE, "3"]}]}
    [series] = read({"status": "success", "data": vector})
    assert (series.labels["pool"], series.values.tolist()) == ("www", [3])
    [series] = read({"status": "success", "data": {"resultType": "scalar", "result": [NINE, "3"]}})
    assert (series.name, series.labels, series.values.tolist()) == ("", {}, [3])
    assert read(matrix()) == ()


def test_warnings_are_notes() -> None:
    [series] = read(matrix((WWW, [[NINE, "3"]]), warnings=["a store did not answer"]))
    assert series.notes == ("Prometheus warns: 'a store did not answer'",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "1:3: parse error"}, "bad_data: 1:3: parse error"),
        ({"status": "error"}, "is an error"),
        ({"status": "success", "data": {"resultType": "string", "result": [NINE, "x"]}}, "got 'string'"),
        ({"status": "success", "data": {"resultType": "matrix", "result": None}}, "must have a matrix"),
        ({"status": "success", "data": [1]}, "must have a matrix"),
        ({"status": "success"}, "must have a matrix"),
        (matrix((WWW, 7)), "must have a metric and values"),  # type: ignore[arg-type]
        ({"data": {"resultType": "matrix", "result": [{"metric": WWW, "histograms": []}]}}, "histograms"),
        ({"data": {"resultType": "matrix", "result": [{"metric": 1, "values": []}]}}, "must have a metric"),
        ({"data": {"resultType": "matrix", "result": ["x"]}}, "must have a metric"),
        ([], "must be the JSON of Prometheus"),
    ],
)
def test_what_is_no_range_is_refused_with_the_reason(answer: object, why: str) -> None:
    with pytest.raises(InvalidInput, match="the answer of Prometheus") as caught:
        read(answer)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b'{"status":"suc',
        b"\x1f\x8b\x08\0\0",
        b"[" * 1_000_000,
        b'{"a":' + b"9" * 10_000 + b"}",
        b"\xff",
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"must be the JSON of Prometheus|must have a matrix"):
        read_range(data)


def test_too_large_an_answer_is_refused_unread() -> None:
    with pytest.raises(InvalidInput, match="at most 64 MiB"):
        read_range(bytes(LARGEST_ANSWER + 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["NaN", "3", NINE]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["metric", "values", "value", "__name__", "pool", "\ud800"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


def outcome(data: bytes) -> tuple[Series, ...] | str:
    try:
        return read_range(data)
    except CapacityError as error:
        return str(error)


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda kind, rows, more: json.dumps({"data": {"resultType": kind, "result": rows}, **more}).encode(),
        st.sampled_from(["matrix", "vector", "scalar", "string"]) | JSON,
        JSON | st.lists(st.fixed_dictionaries({"metric": st.just(WWW), "values": JSON}), max_size=2),
        st.fixed_dictionaries({}, optional={"warnings": JSON, "status": JSON, "error": JSON}),
    )
)
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes) -> None:
    found = outcome(data)
    if isinstance(found, str):
        assert found.isprintable()
        return
    for series in found:
        assert np.isfinite([series.times, series.values]).all()
        for text in (series.name, *series.labels, *series.labels.values()):
            text.encode()


# --- the server -----------------------------------------------------------------------------------------------------


@dataclass
class Fake:
    """What a fake Prometheus knows and what it was asked."""

    url: str
    series: list[tuple[dict[str, str], Callable[[float], float]]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, object]]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query, keep_blank_values=True).items()}
        self.asked.append(asked)
        start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        # as web/api/v1 of Prometheus checks and words it
        if int((end - start) / step) > 11000:
            error = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"
            return 400, {"status": "error", "errorType": "bad_data", "error": error}
        name, _, matchers = asked["query"].partition("{")
        if name == "broken":
            return 422, {"status": "error", "errorType": "execution", "error": "many-to-many matching not allowed"}
        wanted = dict(part.split("=", 1) for part in matchers.rstrip("}").split(",") if part)
        times = np.arange(start, end + 1e-6, step)
        found = [
            (metric, [[time, f"{value(time):g}"] for time in times])
            for metric, value in self.series
            if metric["__name__"] == name
            and all(json.dumps(metric.get(key, "")) == text for key, text in wanted.items())
        ]
        return 200, matrix(*found)


@contextlib.contextmanager
def serving(handle: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def fake() -> Iterator[Fake]:
    known = Fake("")

    def handle(handler: BaseHTTPRequestHandler) -> None:
        known.headers.append({name.lower(): value for name, value in handler.headers.items()})
        path = urlsplit(handler.path).path
        if path.removeprefix("/prometheus") != "/api/v1/query_range":
            send(handler, 404, b"404 page not found\n", Content_Type="text/plain; charset=utf-8")
            return
        status, answer = known.answer(handler.path)
        send(handler, status, json.dumps(answer).encode(), Content_Type="application/json")

    with serving(handle) as url:
        known.url = url
        yield known


def labelled(name: str = ACTIVE, **labels: str) -> dict[str, str]:
    return {"__name__": name, **labels}


@pytest.mark.parametrize("ending", ["", "/", "/prometheus", "/prometheus/"])
def test_a_base_address_may_have_a_prefix_and_a_slash(fake: Fake, ending: str) -> None:
    fake.series = [(WWW, lambda moment: 3)]
    [series] = query_range(fake.url + ending, ACTIVE, **HOUR)
    assert series.labels["pool"] == "www"
    assert len(series.times) == 241
    assert (series.times[0], series.times[-1], set(series.values)) == (NINE, NINE + 3600, {3})
    assert fake.asked == [{"query": ACTIVE, "start": "1795510800.000", "end": "1795514400.000", "step": "15.000"}]
    assert fake.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(("days", "step"), [(1, 15.0), (2, 30.0), (7, 60.0), (60, 600.0), (1000, 7855.0)])
def test_more_samples_than_prometheus_gives_are_asked_for_in_larger_steps(fake: Fake, days: int, step: float) -> None:
    fake.series = [(WWW, lambda moment: 3)]
    [series] = query_range(fake.url, ACTIVE, start=NINE - days * 86400, end=NINE, step=15)
    assert float(fake.asked[0]["step"]) == step
    assert len(series.times) == days * 86400 // step + 1
    assert [("not in 15 s" in note) for note in series.notes] == [True] * (step > 15)


def test_an_error_of_prometheus_is_shown(fake: Fake) -> None:
    with pytest.raises(MeasurementError, match="execution: many-to-many matching not allowed") as caught:
        query_range(fake.url, "broken", **HOUR)
    assert str(caught.value).startswith(f"{fake.url}: ")


def test_a_wrong_prefix_is_told(fake: Fake) -> None:
    with pytest.raises(MeasurementError, match=r"HTTP status 404 .* give the base address"):
        query_range(f"{fake.url}/grafana", ACTIVE, **HOUR)


def test_a_password_is_sent_and_never_shown(fake: Fake) -> None:
    with_password = fake.url.replace("http://", "http://ops:s3cr%2Ft@")
    query_range(with_password, ACTIVE, **HOUR)
    assert fake.headers[0]["authorization"] == f"Basic {base64.b64encode(b'ops:s3cr/t').decode()}"
    query_range(fake.url, ACTIVE, headers={"Authorization": "Bearer t0ken", "X-Scope-OrgID": "7"}, **HOUR)
    assert (fake.headers[1]["authorization"], fake.headers[1]["x-scope-orgid"]) == ("Bearer t0ken", "7")
    for url in (f"{with_password}/none", with_password.replace("http", "ftp"), with_password.replace("%2F", "/"),
                "ops:s3cr%2Ft@localhost:9090", f"{with_password}:x", "http://ops:s3cr%2Ft@127.0.0.1:1"):  # fmt: skip
        with pytest.raises(MeasurementError) as caught:
            query_range(url, ACTIVE, **HOUR)
        assert "s3cr" not in str(caught.value)
    with pytest.raises(MeasurementError, match="printable ASCII") as caught:
        query_range(fake.url, ACTIVE, headers={"Authorization": "Bearer t0ken\r\nX: y"}, **HOUR)
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "localhost:9090", "file:///etc/passwd", "ftp://localhost", "http://", "http://h:99999", "http://[::1",
     "http://local host", "http://localhost/graph?g0.expr=up", "http://localhost\n", "http://h\u00e4user"],
)  # fmt: skip
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(MeasurementError, match="is no address of Prometheus: write it as http://localhost:9090"):
        query_range(url, ACTIVE, **HOUR)


@pytest.mark.parametrize(
    "odd", [{"start": NINE + 7200}, {"step": 0}, {"step": float("nan")}, {"timeout": 0}, {"end": 1e300}, {"start": -1}]
)
def test_times_that_make_no_sense_are_refused(odd: dict[str, float]) -> None:
    with pytest.raises(MeasurementError, match="nothing to ask"):
        query_range("http://127.0.0.1:1", ACTIVE, **(HOUR | odd))


def test_nothing_listens_and_no_such_host() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(MeasurementError, match="connection refused, nothing listens there"):
            query_range(f"http://127.0.0.1:{bound.getsockname()[1]}", ACTIVE, **HOUR)
    with pytest.raises(MeasurementError, match=r"cannot be looked up|no answer within"):
        query_range("http://prometheus.invalid:9090", ACTIVE, timeout=5, **HOUR)


def drip(handler: BaseHTTPRequestHandler, pieces: Iterator[bytes], pause: float = 0.02) -> None:
    for piece in pieces:
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(pause)


def forever(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.recv(1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    drip(handler, iter([b"HTTP/1.1 200 OK\r\nX-Long: "]))
    drip(handler, forever(b"x"))


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    drip(handler, forever(b" "))


def drip_chunks(handler: BaseHTTPRequestHandler) -> None:
    drip(handler, iter([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]))
    drip(handler, forever(b"1\r\n \r\n"))


@pytest.mark.parametrize("handle", [hang, drip_headers, drip_body, drip_chunks])
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(handle: Callable[[BaseHTTPRequestHandler], None]) -> None:
    before = set(threading.enumerate())
    with serving(handle) as url:
        with pytest.raises(MeasurementError, match="no answer within 300 ms: is it overloaded"):
            query_range(url, ACTIVE, timeout=0.3, **HOUR)
        # the thread that asked has ended too; the margin is generous, a leak would last for as long as the server drips
        ours = [thread for thread in threading.enumerate() if thread not in before and "fetch" in thread.name]
        for thread in ours:
            thread.join(10)
        assert not any(thread.is_alive() for thread in ours)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    drip(handler, forever(b" " * 100_000), pause=0)


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    drip(handler, iter([b"HTTP/1.1 200 OK\r\n"]))
    drip(handler, forever(b"X: y\r\n"), pause=0)


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(bytes(range(256)) * 10)


def close(handler: BaseHTTPRequestHandler) -> None:
    pass


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (endless, "the answer has more than 1.00 MiB: ask for less time"),
        (endless_headers, "is no HTTP"),
        (garbage, "is no HTTP"),
        (close, "cannot be asked"),
        (lambda handler: send(handler, 500, b"<html>oops\x1b[31m"), r"HTTP status 500 with b'<html>oops\\x1b"),
        (lambda handler: send(handler, 401, b"Unauthorized"), "HTTP status 401 .*put the user into the address"),
        (lambda handler: send(handler, 503, b""), "HTTP status 503 .*Prometheus is starting"),
        (lambda handler: send(handler, 204, b""), "HTTP status 204"),
        (lambda handler: send(handler, 200, b"<title>Login</title>"), "must be the JSON of Prometheus.*a login page"),
        (lambda handler: send(handler, 200, b'{"status":"succ'), "is it cut off"),
        (lambda handler: send(handler, 200, b"{}", Content_Length="99"), "must have a matrix|is no HTTP"),
        (
            lambda handler: send(handler, 302, b"", Location="file:///etc/passwd"),
            "redirects to 'file:///etc/passwd', wh",
        ),
        (lambda handler: send(handler, 302, b"", Location=handler.path), "redirects to .*, which is not followed"),
        (lambda handler: send(handler, 302, b""), "redirects to '', which is not followed"),
        (lambda handler: send(handler, 302, b"", Location="ftp://127.0.0.1/x"), "cannot be asked"),
    ],
)
def test_whatever_a_server_does_is_one_line_with_a_hint(
    handle: Callable[[BaseHTTPRequestHandler], None], why: str
) -> None:
    with serving(handle) as url, pytest.raises(MeasurementError, match=why) as caught:
        query_range(url, ACTIVE, largest=1 << 20, **HOUR)
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(url)


def test_a_redirect_is_followed_without_the_password(fake: Fake) -> None:
    fake.series = [(WWW, lambda moment: 3)]

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 307, b"", Location=fake.url + handler.path)

    with serving(elsewhere) as url:
        found = query_range(
            url.replace("http://", "http://ops:secret@"), ACTIVE, headers={"X-Scope-OrgID": "7"}, **HOUR
        )
    assert len(found) == 1
    assert not fake.headers[0].keys() & {"authorization", "x-scope-orgid"}


def test_a_server_that_does_not_speak_tls_is_told(fake: Fake) -> None:
    with pytest.raises(MeasurementError, match="does not speak TLS"):
        query_range(fake.url.replace("http", "https"), ACTIVE, **HOUR)


# --- a pool ---------------------------------------------------------------------------------------------------------


def test_a_pool_and_its_counter_make_a_load(fake: Fake) -> None:
    labels = {"pool": "www", "scrape_uri": "tcp://php:9000/status"}
    fake.series = [
        (labelled(**labels), lambda moment: 3),
        (labelled(pool="shop"), lambda moment: 50),
        (labelled(ACCEPTED, pool="shop"), lambda moment: 0),
        (labelled(ACCEPTED, **labels), lambda moment: 12 * (moment - NINE + 7200)),
    ]
    active, accepted = active_processes(fake.url, pool="www", hours=2, end=NINE)
    assert accepted is not None
    assert (active.labels, accepted.labels) == (labels, labels)
    assert active.times[0] == NINE - 7200
    load = load_of(active, accepted)
    assert load.service_time is not None
    # values have six digits here, as %g writes them
    assert load.service_time.value == pytest.approx(0.25, rel=1e-4)


def test_without_a_pool_the_only_series_is_taken_and_no_counter_is_a_note(fake: Fake) -> None:
    fake.series = [
        (labelled(instance="web1:80"), lambda moment: 3),
        (labelled(ACCEPTED, instance="b"), lambda moment: 0),
    ]
    active, accepted = active_processes(fake.url)
    assert accepted is None
    assert len(active.times) == 24 * 240 + 1
    assert "no counter of requests" in active.notes[-1]
    assert abs(active.times[-1] - time.time()) < 3600


def test_the_names_of_other_exporters_are_tried(fake: Fake) -> None:
    fake.series = [
        (labelled("phpfpm_processes_total", instance="a", state="idle"), lambda moment: 5),
        (labelled("phpfpm_processes_total", instance="a", state="active"), lambda moment: 3),
        (labelled(f"{ACCEPTED}_total", instance="a"), lambda moment: moment),
    ]
    active, accepted = active_processes(fake.url, end=NINE)
    assert set(active.values) == {3}
    assert accepted is not None
    assert [asked["query"] for asked in fake.asked] == [
        ACTIVE, 'phpfpm_processes_total{state="active"}', ACCEPTED, f"{ACCEPTED}_total",
    ]  # fmt: skip


def test_several_series_are_listed_to_choose_from(fake: Fake) -> None:
    fake.series = [
        (labelled(pool=pool, instance=f"web{number}", job="fpm"), lambda moment: 1)
        for pool in ("www", "shop")
        for number in (1, 2)
    ]
    with pytest.raises(MeasurementError, match="matches 4, name one by pool or instance") as caught:
        active_processes(fake.url, end=NINE)
    assert "'pool=www' 'instance=web2'; 'pool=shop' 'instance=web1'" in str(caught.value)
    assert "job" not in str(caught.value)  # the same in all of them
    with pytest.raises(MeasurementError, match=r"matches 2, .*: 'instance=web1'; 'instance=web2'$"):
        active_processes(fake.url, pool="www", end=NINE)
    active, _ = active_processes(fake.url, pool="www", instance="web2", end=NINE)
    assert active.labels == {"pool": "www", "instance": "web2", "job": "fpm"}


def test_of_a_hundred_series_eight_are_listed(fake: Fake) -> None:
    fake.series = [(labelled(pool=f"p{n}\x1b\n"), lambda moment: 1) for n in range(100)]
    with pytest.raises(MeasurementError, match=r"and 92 more$") as caught:
        active_processes(fake.url, hours=0.1, end=NINE)
    assert str(caught.value).count("pool=") == 8
    assert str(caught.value).isprintable()


def test_nothing_found_names_the_queries(fake: Fake) -> None:
    with pytest.raises(MeasurementError) as caught:
        active_processes(fake.url, pool="www", hours=1)
    assert (
        'nothing in the last 1 hours matches phpfpm_active_processes{pool="www"} '
        'or phpfpm_processes_total{state="active",pool="www"}: is it scraped?'
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("pool", "matcher"),
    [
        ('a"} or up{x="', r'{pool="a\"} or up{x=\""}'),
        ("a\\", r'{pool="a\\"}'),
        ("a\nb", r'{pool="a\nb"}'),
        ("é", '{pool="é"}'),
    ],
)
def test_the_name_of_a_pool_is_escaped(fake: Fake, pool: str, matcher: str) -> None:
    with contextlib.suppress(MeasurementError):
        active_processes(fake.url, pool=pool, hours=1, end=NINE)
    assert fake.asked[0]["query"] == ACTIVE + matcher


@given(st.text(max_size=40))
def test_any_text_for_an_address_is_answered_with_a_reason(text: str) -> None:
    with pytest.raises(MeasurementError):  # no host of a name that could exist is asked: there is no colon slash slash
        query_range(text.replace("/", ""), ACTIVE, timeout=0.2, **HOUR)
