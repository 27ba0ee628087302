"""Memory of the processes that are not FPM's, the page cache's share, and swap."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from capacity.errors import MeasurementError
from capacity.measure.neighbours import Neighbour, Swap, measure_neighbours, page_cache_floor, swap

MIB = 1 << 20
GIB = 1 << 30


class Host:
    """Processes of a made-up machine: name, RSS, PSS (None: not readable), of that files, command line."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.processes = root, []  # type: ignore[var-annotated]
        monkeypatch.setattr(psutil, "process_iter", lambda attributes: iter(self.processes))

    def add(self, name: str | None, rss: float, pss: float | None = None, files: float = 0, command: str = "") -> int:
        pid = 100 + len(self.processes)
        memory = None if rss < 0 else SimpleNamespace(rss=int(rss * MIB))
        info = {"name": name, "cmdline": command.split() or None, "memory_info": memory}
        self.processes.append(SimpleNamespace(pid=pid, info=info))
        if pss is not None:
            path = self.root / f"proc/{pid}/smaps_rollup"
            path.parent.mkdir(parents=True)
            lines = {"Rss": rss, "Pss": pss, "Pss_Anon": pss - files, "Pss_File": files}
            path.write_text(
                "55-7f ---p 0 0 [rollup]\n" + "".join(f"{k}:  {int(v * 1024)} kB\n" for k, v in lines.items())
            )
        return pid

    def found(self, *exclude: int) -> tuple[Neighbour, ...]:
        return measure_neighbours(set(exclude), root=self.root)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_processes_of_a_name_are_one_neighbour_and_shared_memory_counts_once(host: Host) -> None:
    host.add("mysqld", 600, 590, files=20)
    for _ in range(4):
        host.add("postgres", 300, 80, files=5)
    assert host.found() == (
        Neighbour("mysqld", 1, 590 * MIB, 20 * MIB),
        Neighbour("postgres", 4, 320 * MIB, 20 * MIB),
    )


def test_fpm_itself_and_the_kernel_are_no_neighbours(host: Host) -> None:
    fpm = host.add("php-fpm8.2", 100, 50)
    host.add("kworker/0:1", 0)
    host.add(None, -1)
    host.add("nginx", 9, 8)
    assert [neighbour.name for neighbour in host.found(fpm)] == ["nginx"]


@pytest.mark.parametrize(
    ("comm", "command", "name"),
    [
        ("php8.2", "php8.2 artisan queue:work", "php"),
        ("php", "php artisan schedule:run", "php"),
        ("mariadbd", "", "mariadbd"),
        ("redis-server", "", "redis-server"),
        ("java", "/usr/bin/java -Xmx4g org.elasticsearch.bootstrap.Elasticsearch", "elasticsearch"),
        ("java", "java -jar shop.jar", "java"),
        ("evil\x1b[31m\n", "", "evil?[31m?"),
        (None, "", "?"),
    ],
)
def test_names(host: Host, comm: str | None, command: str, name: str) -> None:
    host.add(comm, 10, 9, command=command)
    assert [neighbour.name for neighbour in host.found()] == [name]


def test_many_small_ones_are_summed_and_nothing_gets_lost(host: Host) -> None:
    host.add("mysqld", 1000, 1000)
    for i in range(30):
        host.add(f"little{i}", 3, 2, files=1)
    large, others = host.found()
    assert (large.name, others) == ("mysqld", Neighbour("others", 30, 60 * MIB, 30 * MIB))


def test_what_may_not_be_read_is_an_upper_bound(host: Host) -> None:
    host.add("mysqld", 600, None)
    host.add("nginx", 30, 20)
    mysqld, nginx = host.found()
    assert (mysqld.memory, mysqld.upper_bound, nginx.upper_bound) == (600 * MIB, True, False)
    assert str(mysqld) == "mysqld at most 600 MiB"


def test_a_process_list_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(attributes: list[str]) -> None:
        raise psutil.AccessDenied(1)

    monkeypatch.setattr(psutil, "process_iter", refuse)
    with pytest.raises(MeasurementError, match="cannot be listed"):
        measure_neighbours()


def meminfo(root: Path, text: str, vmstat: str = "") -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(text)
    (root / "proc/vmstat").write_text(vmstat)
    return root


@pytest.mark.parametrize(
    ("active", "floor", "capped"), [(0, 0, False), (100, 100, False), (204, 204, False), (3000, 204.8, True)]
)
def test_the_page_cache_keeps_what_it_uses_but_a_twentieth_at_most(
    tmp_path: Path, active: int, floor: float, capped: bool
) -> None:
    root = meminfo(tmp_path, f"MemTotal: 9 kB\nActive(anon):  1 kB\nActive(file):   {active * 1024} kB\n")
    measured = page_cache_floor(4 * GIB, root=root)
    assert measured.value == pytest.approx(floor * MIB, abs=1)
    assert ("capped at 5 % of memory" in measured.source.source) == capped


def test_without_meminfo_the_cap_is_the_floor(tmp_path: Path) -> None:
    measured = page_cache_floor(4 * GIB, root=tmp_path)
    assert (measured.value, measured.upper_bound) == (int(0.05 * 4 * GIB), True)


def test_swap_in_use_is_told(tmp_path: Path) -> None:
    root = meminfo(tmp_path, "SwapTotal: 2097152 kB\nSwapFree: 1048576 kB\n", "pswpin 256\npswpout 512\n")
    now, page = swap(root=root), os.sysconf("SC_PAGE_SIZE")
    assert (now.total, now.used, now.swapped_in, now.swapped_out) == (2 * GIB, GIB, 256 * page, 512 * page)
    assert now.sentence.startswith("1.00 GiB of 2.00 GiB swap is in use")


@pytest.mark.parametrize("text", ["", "SwapTotal: 0 kB\nSwapFree: 0 kB\n", "SwapTotal: x kB\n\0\xff", "pswpin 9\n"])
def test_a_machine_without_swap_has_nothing_to_tell(tmp_path: Path, text: str) -> None:
    now = swap(root=meminfo(tmp_path, text, text))
    assert (now.total, now.used, now.sentence) == (0, 0, "")


def test_rates_of_swap_need_time_to_pass() -> None:
    before, after = Swap(9, 9, 100, 200, moment=1), Swap(9, 9, 300, 200, moment=5)
    assert after.rates_since(before) == (50, 0)
    assert before.rates_since(before) == (0, 0)
