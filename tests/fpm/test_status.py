import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import CapacityError, InvalidInput
from capacity.fpm.status import LARGEST_PAGE, PoolStatus, WorkerStatus, read_exporter, read_status

MIB = 1 << 20
EPOCH = 1700000000  # 2023-11-14 22:13:20 UTC
CLF = "14/Nov/2023:23:13:20 +0100"

POOL: dict[str, Any] = {
    "pool": "shop",
    "process manager": "dynamic",
    "start time": EPOCH,
    "start since": 3600,
    "accepted conn": 7211,
    "listen queue": 3,
    "max listen queue": 17,
    "listen queue len": 511,
    "idle processes": 2,
    "active processes": 4,
    "total processes": 6,
    "max active processes": 9,
    "max children reached": 1,
    "slow requests": 5,
    "memory peak": 48 * MIB,
}
IDLE: dict[str, Any] = {
    "pid": 4711,
    "state": "Idle",
    "start time": EPOCH + 60,
    "start since": 3540,
    "requests": 812,
    "request duration": 250_000,
    "request method": "POST",
    "request uri": "/cart.php?id=7",
    "content length": 312,
    "user": "-",
    "script": "/srv/shop/cart.php",
    "last request cpu": 50.0,
    "last request memory": 6 * MIB,
}
RUNNING = IDLE | {"pid": 4712, "state": "Running", "user": "anna", "last request cpu": 0.0, "last request memory": 0}
FULL = POOL | {"idle processes": 1, "active processes": 1, "total processes": 2, "processes": [IDLE, RUNNING]}
SAID = PoolStatus("shop", "dynamic", EPOCH, 3600, 7211, 3, 17, 511, 2, 4, 6, 9, 1, 5, 48 * MIB)


def as_json(page: dict[str, Any]) -> bytes:
    return json.dumps(page).encode()


def as_text(page: dict[str, Any]) -> bytes:
    """Lay a page out as FPM's plain text does."""

    def lines(fields: dict[str, Any]) -> str:
        times = fields | ({"start time": CLF} if "start time" in fields else {})
        named = {key.replace("uri", "URI"): value for key, value in times.items() if key != "processes"}
        return "".join(f"{key + ':':<21} {value}\n" for key, value in named.items())

    blocks = [f"\n{'*' * 24}\n{lines(worker)}" for worker in page.get("processes", ())]
    return "".join([lines(page), *blocks]).encode()


def as_openmetrics(page: dict[str, Any]) -> bytes:
    renamed = {"accepted conn": "accepted connections", "listen queue len": "listen queue length"}
    lines = ["# HELP phpfpm_up Could pool {pool} using a {process manager} PM on PHP-FPM be reached?".format(**page)]
    lines += ["# TYPE phpfpm_up gauge", "phpfpm_up 1"]
    for key, value in page.items():
        if key not in ("pool", "process manager", "start time"):
            name = f"phpfpm_{renamed.get(key, key).replace(' ', '_')}"
            lines += [f"# TYPE {name} gauge", f"# HELP {name} What it is.", f"{name} {value}"]
    return "\n".join([*lines, "# EOF", ""]).encode()


FORMATS: list[Callable[[dict[str, Any]], bytes]] = [as_json, as_text]
every_format = pytest.mark.parametrize("written", FORMATS, ids=lambda function: function.__name__)


def refusal(read: Callable[[bytes], object], data: bytes) -> str:
    """Why the data was refused; empty if it was not. Any other error is a failure."""
    try:
        read(data)
    except CapacityError as error:
        return str(error)
    return ""


def problem(data: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_status(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def note(status: PoolStatus, words: str) -> str:
    found = [note for note in status.notes if words in note]
    assert len(found) == 1, status.notes
    return found[0]


# -- what a page says ----------------------------------------------------------------------------------------------


@every_format
def test_a_page_says_the_pools_figures(written: Callable[[dict[str, Any]], bytes]) -> None:
    assert read_status(written(POOL)) == SAID


def test_openmetrics_says_the_same_but_for_the_start() -> None:
    assert read_status(as_openmetrics(POOL)) == PoolStatus(
        "shop", "dynamic", None, 3600, 7211, 3, 17, 511, 2, 4, 6, 9, 1, 5, 48 * MIB
    )


@every_format
def test_a_full_page_says_what_every_worker_does(written: Callable[[dict[str, Any]], bytes]) -> None:
    started = EPOCH if written is as_text else EPOCH + 60
    common = (started, 812, 0.25, "POST", "/cart.php?id=7", "/srv/shop/cart.php", 312)
    status = read_status(written(FULL))
    assert status.workers == (
        WorkerStatus(4711, "Idle", *common, None, 0.5, 6 * MIB),
        WorkerStatus(4712, "Running", *common, "anna", None, None),
    )
    assert status.stuck == 0
    assert status.notes == ()


def test_a_worker_that_has_served_nothing_has_no_last_request() -> None:
    fresh = IDLE | {"requests": 0, "request duration": 0, "last request cpu": 0.0, "last request memory": 0}
    (worker,) = read_status(as_json(FULL | {"processes": [fresh]})).workers
    assert worker.memory is worker.cpu is None


@every_format
def test_what_older_php_does_not_say_is_unknown(written: Callable[[dict[str, Any]], bytes]) -> None:
    old = {key: value for key, value in POOL.items() if key not in ("slow requests", "memory peak", "start time")}
    status = read_status(written(old))
    assert (status.slow_requests, status.memory_peak, status.started) == (None, None, None)
    assert status.accepted == 7211
    assert status.notes == ()


@every_format
def test_what_newer_php_may_add_is_passed_over(written: Callable[[dict[str, Any]], bytes]) -> None:
    assert read_status(written({"threads": 3, **POOL, "weather": "fine"})) == SAID


def test_headers_before_the_page_are_passed_over() -> None:
    cgi = b"Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-type: text/plain;charset=UTF-8\r\n\r\n"
    assert read_status(cgi + as_text(POOL)) == SAID
    assert read_status(b"HTTP/1.1 200 OK\r\n" + cgi + as_json(POOL)) == SAID
    assert read_status(b"\xef\xbb\xbf" + as_text(POOL).replace(b"\n", b"\r\n")) == SAID


def test_a_number_may_stand_in_quotes() -> None:
    assert read_status(as_json(POOL | {"accepted conn": "7211"})) == SAID


def test_text_keeps_what_comes_first_so_that_a_script_name_with_a_line_end_adds_nothing() -> None:
    page = as_text(FULL).replace(b"cart.php\n", b"cart.php\npid: 1\nstate: Reading headers\n", 1)
    assert [(worker.pid, worker.state) for worker in read_status(page).workers] == [(4711, "Idle"), (4712, "Running")]


# -- what cannot be true -------------------------------------------------------------------------------------------


@every_format
def test_a_unix_sockets_queue_is_unknown(written: Callable[[dict[str, Any]], bytes]) -> None:
    status = read_status(written(POOL | {"listen queue": 0, "max listen queue": 0, "listen queue len": 0}))
    assert (status.listen_queue, status.max_listen_queue, status.listen_queue_limit) == (None, None, None)
    assert "ss -xl" in note(status, "unix socket")


@every_format
def test_a_negative_time_written_as_unsigned_is_unknown(written: Callable[[dict[str, Any]], bytes]) -> None:
    wrapped = [IDLE | {"request duration": 2**64 - 40}, IDLE | {"request duration": 2**64 - 1}, RUNNING]
    page = FULL | {"total processes": 3, "active processes": 2, "processes": wrapped}
    status = read_status(written(page))
    assert [worker.elapsed for worker in status.workers] == [None, None, 0.25]
    assert note(status, "request duration") == (f"'request duration' is unknown 2 times: it cannot be '{2**64 - 40}'")


@pytest.mark.parametrize(
    "value",
    [
        "-1",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1.5",
        '"many"',
        "true",
        "[1]",
        "{}",
        "9" * 30,
        "9" * 100_000,
        '""',
    ],
)
@pytest.mark.parametrize("key", ["accepted conn", "active processes", "listen queue len", "memory peak"])
def test_a_count_that_cannot_be_true_is_unknown_with_a_note(key: str, value: str) -> None:
    text = as_json(POOL).replace(f'"{key}": {POOL[key]}'.encode(), f'"{key}": {value}'.encode())
    status = read_status(text)
    fields = {"accepted conn": "accepted", "active processes": "active", "listen queue len": "listen_queue_limit"}
    field = fields.get(key, "memory_peak")
    assert getattr(status, field) is None
    assert status.idle == SAID.idle
    assert len(note(status, repr(key))) < 150


@pytest.mark.parametrize("value", ["-5", "nan", "1e400", "two", "0x10", "1_000", "²"])
def test_a_count_in_text_that_cannot_be_true_is_unknown_with_a_note(value: str) -> None:
    status = read_status(as_text(POOL | {"idle processes": value}))
    assert status.idle is None
    assert repr(value) in note(status, "'idle processes'")


@pytest.mark.parametrize("value", ["yesterday", "31/Feb/2023:00:00:00 +0000", -1, 1e300, None, "9" * 5000])
def test_a_start_that_is_no_time_is_unknown(value: object) -> None:
    status = read_status(as_json(POOL | {"start time": value}))
    assert status.started is None
    assert len(status.notes) == (value is not None)


def test_a_process_manager_there_is_not_is_unknown() -> None:
    status = read_status(as_json(POOL | {"process manager": "magic"}))
    assert status.process_manager is None
    assert "magic" in note(status, "process manager")


@every_format
def test_workers_that_do_not_add_up_are_survived_and_said(written: Callable[[dict[str, Any]], bytes]) -> None:
    status = read_status(written(POOL | {"total processes": 8}))
    assert (status.idle, status.active, status.total) == (2, 4, 8)
    assert "once a second" in note(status, "2 idle and 4 active workers are not the 8 of the total")
    status = read_status(written(FULL | {"total processes": 3, "active processes": 2}))
    assert "once a second" in note(status, "2 workers are listed, not the 3 of the total")


def test_a_list_of_workers_that_is_none_is_left_out() -> None:
    status = read_status(as_json(FULL | {"processes": [IDLE, 7, None, RUNNING]}))
    assert [worker.pid for worker in status.workers] == [4711, 4712]
    assert note(status, "left out")
    assert note(read_status(as_json(POOL | {"processes": "none"})), "left out")


def test_half_a_surrogate_pair_can_be_printed() -> None:
    page = as_json(FULL).replace(b"/cart.php?id=7", b"/\\ud800")
    uri = read_status(page).workers[0].uri
    assert uri is not None
    assert uri.encode() == b"/?"


# -- busy and stuck ------------------------------------------------------------------------------------------------


def test_the_query_itself_is_not_busy() -> None:
    status = read_status(as_json(POOL))
    assert (status.busy(own_query=False), status.busy(own_query=True)) == (4, 3)
    assert read_status(as_json(POOL | {"active processes": 0})).busy(own_query=True) == 0


def test_busy_says_so_where_the_page_does_not_know() -> None:
    with pytest.raises(InvalidInput, match="how many workers are active"):
        read_status(as_json(POOL | {"active processes": -1})).busy(own_query=True)


@pytest.mark.parametrize(("stuck", "others", "said"), [(1, 0, False), (2, 3, False), (2, 2, True), (3, 1, True)])
def test_workers_that_read_headers_are_stuck(stuck: int, others: int, said: bool) -> None:
    workers = [RUNNING | {"state": "Reading headers"}] * stuck + [RUNNING] * others
    count = stuck + others
    page = POOL | {"idle processes": 0, "active processes": count, "total processes": count, "processes": workers}
    status = read_status(as_text(page))
    assert status.stuck == stuck
    assert any("fastcgi_keep_conn" in note for note in status.notes) == said


def test_a_short_page_does_not_know_who_is_stuck() -> None:
    assert read_status(as_json(POOL)).stuck is None


# -- what is no page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \r\n", "is empty"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", "is empty"),
        (b"pong", "none of FPM's counts; got 'pong'"),
        (b"File not found.\n", "pm.status_path"),
        (b"<!DOCTYPE html>\n<html><head><title>PHP-FPM Status Page</title>", "?json"),
        (b'<?xml version="1.0" ?>\n<status>', "?json"),
        (b"\x7fELF\x02\x00\x00", "NUL byte"),
        (b"[1, 2]", "one JSON object"),
        (b'{"status": "ok"}', "none of FPM's counts"),
        (b"{'pool': 'www'}", "is not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'phpfpm_idle_processes{pool="a"} 1\nphpfpm_idle_processes{pool="b"} 1\n', "read_exporter"),
        (b"phpfpm_weather 7\n", "no phpfpm_ metrics"),
        (b"x" * (LARGEST_PAGE + 1), "at most 16 MiB"),
    ],
)
def test_what_is_no_status_page_is_refused_with_a_reason(data: bytes, words: str) -> None:
    assert words in problem(data)
    assert len(problem(data)) < 300


def test_an_unescaped_quote_is_named_with_the_way_out() -> None:
    page = as_json(FULL).replace(b"anna", b'an"na')
    assert "ask without json" in problem(page)
    assert "na" in problem(page)


@pytest.mark.parametrize("length", range(30, len(as_json(FULL)) - 1, 7))
def test_json_cut_off_anywhere_is_refused(length: int) -> None:
    message = problem(as_json(FULL)[:length])
    assert "is cut off" in message or "is not valid JSON" in message


@pytest.mark.parametrize("page", [POOL, FULL])
def test_text_cut_off_anywhere_says_nothing_wrong(page: dict[str, Any]) -> None:
    whole, text = read_status(as_text(page)), as_text(page)
    numbers = ("accepted", "listen_queue", "idle", "active", "total", "max_active")
    for length in range(30, len(text)):
        try:
            status = read_status(text[:length])
        except InvalidInput:
            continue
        for name in numbers:
            assert getattr(status, name) in (None, getattr(whole, name)), text[:length]
        if b"max children reached" not in text[:length]:
            assert note(status, "cut off")


@pytest.mark.parametrize(
    "piece",
    [
        b"{},",
        b"***\npid:\n",
        b"a:\n",
        b'phpfpm_up{a="',
        b'phpfpm_up{pool="a"} 1\n',
        b'\\"',
        b"1",
        b"A:b\n",
        b"{",
        b"\n",
    ],
)
@pytest.mark.parametrize("head", [b"", b'{"pool":"w","processes":[', b"pool: w\nidle processes: 1\n"])
def test_a_large_page_is_read_or_refused_in_few_words(head: bytes, piece: bytes) -> None:
    size = LARGEST_PAGE // 4  # four million bytes tell what takes more than its share of time as well as sixteen do
    data = (head + piece * (size // len(piece)))[:size]
    assert len(refusal(read_status, data)) < 300


@pytest.mark.parametrize("piece", [b"***\npid:\n", b"{"])
def test_a_page_of_the_largest_size_is_read_or_refused_in_few_words(piece: bytes) -> None:
    data = (piece * (LARGEST_PAGE // len(piece)))[:LARGEST_PAGE]
    assert len(refusal(read_status, data)) < 300


def test_more_workers_than_there_can_be_are_refused() -> None:
    assert "at most 50000 workers" in problem(as_text(POOL) + b"***\npid: 1\n" * 50_001)


# -- exporters -----------------------------------------------------------------------------------------------------

EXPORTED = rb"""# HELP go_goroutines Number of goroutines.
go_goroutines 9
# HELP phpfpm_accepted_connections The number of requests accepted by the pool.
# TYPE phpfpm_accepted_connections counter
phpfpm_accepted_connections{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 1.250437e+06
phpfpm_accepted_connections{pool="odd\"} name\\",scrape_uri="tcp://127.0.0.1:9001/status"} 12 1700000000000
phpfpm_active_processes{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 3
phpfpm_active_processes{pool="odd\"} name\\",scrape_uri="tcp://127.0.0.1:9001/status"} 1
phpfpm_listen_queue_length{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 0
phpfpm_listen_queue{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 0
phpfpm_listen_queue_length{ pool = "odd\"} name\\" , scrape_uri="tcp://127.0.0.1:9001/status", } 128
phpfpm_memory_peak{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 0
phpfpm_process_last_request_cpu{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 12.5
phpfpm_process_last_request_memory{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 2.097152e+06
phpfpm_process_request_duration{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 3e+06
phpfpm_process_requests{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 77
phpfpm_process_state{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status",state="Running"} 0
phpfpm_process_state{child="0",pool="shop",scrape_uri="unix:///run/shop.sock;/status",state="Idle"} 1
phpfpm_process_state{child="1",pool="shop",scrape_uri="unix:///run/shop.sock;/status",state="Running"} 1
phpfpm_scrape_failures{pool="shop",scrape_uri="unix:///run/shop.sock;/status"} 0
phpfpm_up{pool="gone",scrape_uri="tcp://127.0.0.1:9002/status"} 0
phpfpm_opcache_hit_rate{pool="never"} 93.2
process_cpu_seconds_total 4
"""


def test_an_exporters_pools_are_told_apart_and_named() -> None:
    shop, odd, gone = read_exporter(EXPORTED)
    assert (shop.pool, shop.accepted, shop.active, shop.listen_queue) == ("shop", 1250437, 3, None)
    assert note(shop, "ss -xl")
    assert (odd.pool, odd.accepted, odd.active, odd.listen_queue_limit) == ('odd"} name\\', 12, 1, 128)
    assert (gone.pool, gone.active) == ("gone", None)
    assert note(gone, "did not reach")


def test_an_exporters_workers_are_its_pools() -> None:
    shop, odd, _ = read_exporter(EXPORTED)
    assert shop.workers == (
        WorkerStatus(state="Idle", requests=77, elapsed=3, cpu=0.125, memory=2 * MIB),
        WorkerStatus(state="Running"),
    )
    assert odd.workers == ()


def test_a_peak_of_nothing_after_requests_is_unknown() -> None:
    assert read_exporter(EXPORTED)[0].memory_peak is None
    assert read_status(as_json(POOL | {"memory peak": 0, "accepted conn": 0})).memory_peak == 0


def test_a_workers_pid_is_read_where_the_exporter_tells_it() -> None:
    text = b'phpfpm_idle_processes{pool="w"} 1\nphpfpm_process_state{pid="12",pool="w",state="Idle"} 1\n'
    assert read_exporter(text)[0].workers == (WorkerStatus(pid=12, state="Idle"),)


def test_pools_of_one_name_at_two_addresses_are_two() -> None:
    text = b'phpfpm_idle_processes{pool="w",instance="a"} 1\nphpfpm_idle_processes{pool="w",instance="b"} 2\n'
    assert [(status.pool, status.idle) for status in read_exporter(text)] == [("w", 1), ("w", 2)]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e999", "x"])
def test_an_exported_number_that_cannot_be_true_is_unknown(value: str) -> None:
    (status,) = read_exporter(f'phpfpm_idle_processes{{pool="w"}} {value}\n'.encode())
    assert status.idle is None
    assert note(status, "idle processes")


def test_fpms_own_metrics_are_one_pool() -> None:
    assert read_exporter(as_openmetrics(POOL)) == (read_status(as_openmetrics(POOL)),)


@pytest.mark.parametrize("data", [b"", b"go_goroutines 9\n", as_json(POOL), b"\0"])
def test_text_without_a_pool_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_exporter(data)


# -- hostile bytes -------------------------------------------------------------------------------------------------

SEEDS = [as_json(FULL), as_text(FULL), as_openmetrics(POOL), EXPORTED]


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_status, read_exporter):
        assert refusal(read, data).isprintable()


@given(st.sampled_from(SEEDS), st.data())
def test_a_page_with_damage_is_read_or_refused(seed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(at, min(len(seed), at + 40)))
    damaged = seed[:at] + data.draw(st.binary(max_size=20)) + seed[end:]
    for read in (read_status, read_exporter):
        assert refusal(read, damaged).isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(IDLE)), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*POOL, "processes"]), VALUES, min_size=1))
def test_any_values_under_the_right_keys_are_read_or_refused(page: dict[str, Any]) -> None:
    try:
        status = read_status(json.dumps(page).encode())
    except InvalidInput:
        return
    numbers = [status.accepted, status.idle, status.active, status.uptime, status.started, status.memory_peak]
    assert all(number is None or 0 <= number < 2**53 for number in numbers)
    assert all(note.isprintable() for note in status.notes)
