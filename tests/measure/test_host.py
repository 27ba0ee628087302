from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from capacity.errors import MeasurementError
from capacity.measure.cgroup import cpu_limit, memory_limit
from capacity.measure.host import measure_cpus, measure_ram, measure_reserved, measure_somaxconn

PID = 4242
GIB = 1 << 30
MIB = 1 << 20


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the machine 8 GiB, 5 of them available."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GIB, available=5 * GIB))


def tree(root: Path, groups: str, files: dict[str, object], cpus: str = "0-7") -> Path:
    written: dict[str, object] = {f"proc/{PID}/cgroup": groups, f"proc/{PID}/status": f"Cpus_allowed_list:\t{cpus}\n"}
    written |= {f"sys/fs/cgroup/{name}": content for name, content in files.items()}
    for name, content in written.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


SERVICE = "system.slice/php8.2-fpm.service"


def test_v2_takes_the_tightest_level_of_every_kind(tmp_path: Path) -> None:
    files = {
        f"{SERVICE}/memory.max": 3 * GIB,
        f"{SERVICE}/memory.high": 2 * GIB,
        f"{SERVICE}/cpu.max": "max 100000",
        "system.slice/memory.max": "max",
        "system.slice/cpu.max": "150000 100000",
        "cpu.max": "max 100000",
    }
    root = tree(tmp_path, f"0::/{SERVICE}\n", files)
    ram, cpus = measure_ram(PID, root=root), measure_cpus(PID, root=root)
    assert ram.value == 2 * GIB
    assert f"/sys/fs/cgroup/{SERVICE}/memory.high" in ram.source.source
    assert cpus.value == 1.5
    assert "/sys/fs/cgroup/system.slice/cpu.max" in cpus.source.source


def test_v1_reads_each_controllers_own_hierarchy(tmp_path: Path) -> None:
    files = {
        "memory/docker/abc/memory.limit_in_bytes": 512 * MIB,
        "memory/memory.limit_in_bytes": 9223372036854771712,
        "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": 250000,
        "cpu,cpuacct/docker/abc/cpu.cfs_period_us": 100000,
        "cpu,cpuacct/cpu.cfs_quota_us": -1,
        "cpu,cpuacct/cpu.cfs_period_us": 100000,
    }
    root = tree(tmp_path, "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n", files)
    assert measure_ram(PID, root=root).value == 512 * MIB
    assert measure_cpus(PID, root=root).value == 2.5


def test_inside_a_container_the_mount_is_the_group_itself(tmp_path: Path) -> None:
    v1 = tree(tmp_path / "v1", "9:memory:/docker/abc\n", {"memory/memory.limit_in_bytes": GIB})
    v2 = tree(tmp_path / "v2", "0::/../../other\n", {"memory.max": GIB})
    assert measure_ram(PID, root=v1).value == GIB
    assert measure_ram(PID, root=v2).value == GIB


def test_a_hybrid_system_is_read_in_both_hierarchies(tmp_path: Path) -> None:
    files = {"memory/a/memory.limit_in_bytes": 2 * GIB, "unified/b/cpu.max": "50000 100000"}
    root = tree(tmp_path, "4:memory:/a\n0::/b\n", files)
    assert measure_ram(PID, root=root).value == 2 * GIB
    assert measure_cpus(PID, root=root).value == 0.5


@pytest.mark.parametrize("limit", ["max", 9223372036854771712, 1 << 60, -1, 0, "", "what"])
def test_no_limit_is_the_machine(tmp_path: Path, limit: object) -> None:
    root = tree(tmp_path, "0::/a\n3:memory:/a\n", {"a/memory.max": limit, "memory/a/memory.limit_in_bytes": limit})
    assert memory_limit(PID, root=root) is None
    assert measure_ram(PID, root=root).value == 8 * GIB


def test_a_limit_above_the_machine_changes_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path, "0::/a\n", {"a/memory.max": 64 * GIB, "a/cpu.max": "3200000 100000"})
    assert measure_ram(PID, root=root).value == 8 * GIB
    assert measure_cpus(PID, root=root).value == 8


def test_a_process_that_cannot_be_read_gets_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda: 6)
    assert memory_limit(PID, root=tmp_path) is None
    assert cpu_limit(PID, root=tmp_path) is None
    cpus = measure_cpus(PID, root=tmp_path)
    assert cpus.value == 6
    assert "affinity could not be read" in cpus.source.source
    monkeypatch.setattr(psutil, "cpu_count", lambda: None)
    with pytest.raises(MeasurementError, match="number of CPU cores"):
        measure_cpus(PID, root=tmp_path)


@pytest.mark.parametrize(("cpus", "count"), [("0", 1), ("0-3", 4), ("0-1,4,6-7", 5)])
def test_the_affinity_of_the_process_counts_not_the_machine(tmp_path: Path, cpus: str, count: int) -> None:
    assert measure_cpus(PID, root=tree(tmp_path, "", {}, cpus)).value == count


def test_reserved_is_what_others_use_of_the_machine(tmp_path: Path) -> None:
    reserved = measure_reserved(PID, fpm_memory=GIB, counted="PSS", root=tree(tmp_path, "", {}))
    assert reserved.value == 2 * GIB
    assert reserved.source.source == "total - available (psutil) - PSS"


def test_reserved_is_never_negative(tmp_path: Path) -> None:
    assert measure_reserved(PID, fpm_memory=7 * GIB, counted="PSS", root=tree(tmp_path, "", {})).value == 0


def test_inside_a_limit_only_the_groups_own_use_counts(tmp_path: Path) -> None:
    stat = f"anon 5\ninactive_file {100 * MIB}\nactive_file {200 * MIB}\nfile {999 * MIB}"
    files = {"a/memory.max": 2 * GIB, "a/memory.current": 800 * MIB, "a/memory.stat": stat}
    reserved = measure_reserved(PID, fpm_memory=400 * MIB, counted="PSS", root=tree(tmp_path, "0::/a\n", files))
    assert reserved.value == 100 * MIB
    assert reserved.source.source == "use of /sys/fs/cgroup/a without page cache - PSS"


def test_a_limit_the_rest_of_the_machine_eats_into_is_not_all_free(tmp_path: Path) -> None:
    # 8 GiB less 2.6 GiB of others leave 5.4 GiB: of a limit of 6 GiB, 0.6 are taken.
    files = {"memory/a/memory.limit_in_bytes": 6 * GIB, "memory/a/memory.usage_in_bytes": 400 * MIB}
    root = tree(tmp_path, "3:memory:/a\n", files)
    reserved = measure_reserved(PID, fpm_memory=GIB * 4 // 10, counted="PSS", root=root)
    assert reserved.value == 3 * GIB - GIB * 4 // 10 - 2 * GIB
    assert "less what lies outside the limit /sys/fs/cgroup/memory/a/memory.limit_in_bytes" in reserved.source.source


def test_the_kernel_says_how_many_may_wait_or_nothing_is_said(tmp_path: Path) -> None:
    file = tmp_path / "proc/sys/net/core/somaxconn"
    assert measure_somaxconn(root=tmp_path) is None
    file.parent.mkdir(parents=True)
    for text, expected in (("128\n", 128), ("65535\n", 65535), ("none\n", None)):
        file.write_text(text)
        found = measure_somaxconn(root=tmp_path)
        assert (found and found.value) == expected
