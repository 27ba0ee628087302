import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from capacity.errors import MeasurementError
from capacity.measure import measure_pool
from capacity.measure.processes import Child, Master, find_masters, master_of
from capacity.measure.usage import Usage, read_usage
from capacity.measure.workers import shared_memory, worker_memory

MIB = 1 << 20


def usage(peak: float, *, now: float = 10, private: float | None = 0.5, cpu: float = 1.0) -> Usage:
    """Describe one process in MiB; None for private is a process we may not look into."""
    if private is None:
        return Usage(cpu, int(now * MIB), int(peak * MIB))
    return Usage(cpu, int(now * MIB), int(peak * MIB), int(now * MIB), int(private * MIB), int((private + 1) * MIB))


def mib(result: object) -> float:
    assert not isinstance(result, str)
    return result.value / MIB  # type: ignore[attr-defined,no-any-return]


def test_the_private_peak_is_the_high_water_mark_less_what_is_shared() -> None:
    assert mib(worker_memory([usage(42)])) == 42 - 9.5


def test_the_private_peak_is_never_below_what_is_private_now() -> None:
    assert usage(peak=9, now=10, private=4).private_peak == 4 * MIB


def test_the_hungriest_worker_counts_but_not_one_in_a_hundred() -> None:
    assert mib(worker_memory([usage(20), usage(30), usage(40)])) == 30.5
    crowd = [usage(20)] * 99 + [usage(500)]
    measured = worker_memory(crowd)
    assert mib(measured) == 10.5
    assert not isinstance(measured, str)
    assert (measured.source.low, measured.source.high) == (10.5 * MIB, 490.5 * MIB)


def test_workers_that_have_run_nothing_say_nothing() -> None:
    fresh = usage(8.4, now=8.4, private=0.2, cpu=0.0)
    assert worker_memory([fresh] * 3) == (
        "none of the 3 workers has run more than 20 ms of PHP yet; idle workers say nothing about requests"
    )
    assert mib(worker_memory([fresh, usage(42)])) == 32.5


def test_giving_memory_back_is_work_however_little_cpu_time_it_took() -> None:
    assert mib(worker_memory([usage(42, cpu=0.0)])) == 32.5


def test_without_the_mappings_the_high_water_mark_is_an_upper_bound() -> None:
    measured = worker_memory([usage(42, private=None), usage(30, private=None)])
    assert mib(measured) == 42
    assert not isinstance(measured, str)
    assert measured.upper_bound
    assert measured.source.source.startswith("upper bound: high-water mark of RSS, shared pages counted in (not root)")


def test_shared_memory_is_counted_once() -> None:
    master, children = usage(20, private=0.2), [usage(42, private=2)] * 4
    assert mib(shared_memory(master, children)) == pytest.approx(1.2 + 4 * 3 - 4 * 2, abs=1e-5)


def test_shared_memory_is_zero_where_the_upper_bound_holds_it() -> None:
    measured = shared_memory(usage(20, private=None), [])
    assert mib(measured) == 0
    assert not isinstance(measured, str)
    assert measured.source.source.startswith("0: not root")


def test_a_master_that_is_gone_leaves_shared_memory_unknown() -> None:
    assert shared_memory(None, [usage(42)]) == "the master ended or could not be read"


def test_a_process_that_is_gone_is_no_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise psutil.NoSuchProcess(os.getpid())

    monkeypatch.setattr(psutil.Process, "memory_maps", gone)
    assert read_usage(os.getpid()) is None


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), NotImplementedError()])
def test_mappings_that_may_not_be_read_leave_the_high_water_mark(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(psutil.Process, "memory_maps", denied)
    own = read_usage(os.getpid())
    assert own is not None
    assert own.private is own.pss is None
    assert own.peak_rss > 0


# -- masters and pools ---------------------------------------------------------------------------------------------

Table = Mapping[int, tuple[int, str | None]]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Callable[[Table], None]:
    """Replace the process table: pid to (parent, title); a title of None may not be read."""

    def replace(table: Table) -> None:
        def rows(_: object) -> list[object]:
            return [
                SimpleNamespace(pid=pid, info={"ppid": parent, "cmdline": None if title is None else [title, "", ""]})
                for pid, (parent, title) in table.items()
            ]

        monkeypatch.setattr(psutil, "process_iter", rows)

    return replace


def test_masters_and_only_their_own_children_are_found(processes: Callable[[Table], None]) -> None:
    processes(
        {
            1: (0, "/sbin/init"),
            10: (1, "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)"),
            11: (10, "php-fpm: pool www"),
            12: (10, "php-fpm: pool www_status"),
            20: (1, "php-fpm: master process (/etc/php/7.4/fpm/php-fpm.conf)"),
            21: (20, "php-fpm: pool www"),
            30: (99, "php-fpm: pool www"),
            31: (1, None),
            32: (1, "grep php-fpm: master process (x)"),
        }
    )
    assert find_masters() == (
        Master(10, "/etc/php/8.2/fpm/php-fpm.conf", (Child(11, "www"), Child(12, "www_status"))),
        Master(20, "/etc/php/7.4/fpm/php-fpm.conf", (Child(21, "www"),)),
    )


@pytest.mark.parametrize("error", [psutil.AccessDenied(1), psutil.NoSuchProcess(1)])
def test_hidden_processes_are_said_to_be_hidden(
    processes: Callable[[Table], None], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def denied(*_: object) -> None:
        raise error

    processes({5000: (1, "bash")})
    monkeypatch.setattr(psutil.Process, "cmdline", denied)
    with pytest.raises(MeasurementError, match="hidepid"):
        measure_pool("www")


def test_no_master_is_no_pool(processes: Callable[[Table], None]) -> None:
    processes({5000: (1, "bash")})
    assert measure_pool("www") is None


def test_a_master_that_ended_meanwhile_leaves_notes_and_no_traceback(processes: Callable[[Table], None]) -> None:
    absent = 2**22 + 1  # above the kernel's largest pid
    processes({absent: (1, "php-fpm: master process (/none.conf)"), absent + 1: (absent, "php-fpm: pool www")})
    measurement = measure_pool("www")
    assert measurement is not None
    assert measurement.workers_seen == 1
    assert measurement.worker_memory is measurement.shared_memory is None
    assert "1 of 1 workers ended or could not be read" in measurement.notes


def masters(tmp_path: Path) -> tuple[Master, Master]:
    made = []
    for number in (1, 2):
        pool = tmp_path / f"{number}.d" / "www.conf"
        pool.parent.mkdir()
        pool.write_text("[www]\npm = static\n")
        config = tmp_path / f"php-fpm-{number}.conf"
        config.write_text(f"include = {pool.parent}/*.conf\n")
        made.append(Master(number, str(config), (Child(10 + number, "www"),)))
    return made[0], made[1]


def test_two_masters_with_one_pool_name_are_told_apart_by_the_included_file(tmp_path: Path) -> None:
    one, two = masters(tmp_path)
    assert master_of("www", (one, two), str(tmp_path / "2.d" / "www.conf")) == (two, ())


def test_two_masters_with_one_pool_name_and_nothing_to_tell_them_apart_are_both_named(tmp_path: Path) -> None:
    one, two = masters(tmp_path)
    with pytest.raises(MeasurementError, match=r"pid 1 \(.*php-fpm-1.conf\), pid 2 .*name the pool file"):
        master_of("www", (one, two), None)
    with pytest.raises(MeasurementError, match="several php-fpm masters run a pool www"):
        master_of("www", (one, two), str(tmp_path / "other.conf"))


def test_the_only_master_is_taken_with_a_note_when_its_files_do_not_show_the_pools(tmp_path: Path) -> None:
    one, _ = masters(tmp_path)
    master, notes = master_of("www", (one,), str(tmp_path / "other.conf"))
    assert master == one
    assert "could not be made sure" in notes[0]


def test_a_configuration_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    master = Master(1, str(tmp_path / "pipe"), (Child(2, "www"),))
    assert master_of("www", (master,), None) == (master, ())
    assert master_of("shop", (master,), None) == (None, ())
