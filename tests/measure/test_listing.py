"""Pools of the masters that run, told by made-up process titles and configuration files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from capacity.measure.listing import RunningPool, list_pools

List = Callable[..., tuple[RunningPool, ...]]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> List:
    """List the pools of masters made of (configuration or None, titles of the children, binary)."""

    def make(*masters: tuple[str | None, list[str], str]) -> tuple[RunningPool, ...]:
        processes, binaries = [], {}
        for number, (text, titles, binary) in enumerate(masters, 1):
            config, pid = tmp_path / f"master{number}.conf", 1000 * number
            if text is not None:
                config.write_text(text)
            binaries[f"/proc/{pid}/exe"] = binary
            title = f"php-fpm: master process ({config})"
            processes.append(SimpleNamespace(pid=pid, info={"ppid": 1, "cmdline": [title]}))
            for child, pool in enumerate(titles, pid + 1):
                processes.append(SimpleNamespace(pid=child, info={"ppid": pid, "cmdline": [f"php-fpm: pool {pool}"]}))
        monkeypatch.setattr(psutil, "process_iter", lambda attributes: iter(processes))

        def readlink(path: str) -> str:
            if not binaries[path]:
                raise PermissionError(path)
            return binaries[path]

        monkeypatch.setattr(os, "readlink", readlink)
        return list_pools()

    return make


WWW = "[www]\nlisten = /run/www.sock\npm = static\npm.max_children = 4\n"


def one(pools: tuple[RunningPool, ...]) -> RunningPool:
    assert len(pools) == 1, [pool.name for pool in pools]
    return pools[0]


def test_a_pool_has_what_its_configuration_says(running: List, tmp_path: Path) -> None:
    logs = (
        "access.log = /var/log/$pool.access.log\naccess.format = %t %d\nslowlog = /var/log/$pool.slow\n"
        "pm.status_path = /status\n"
    )
    text = f"[global]\nerror_log = /var/log/fpm.log\nprocess.max = 64\n{WWW}{logs}"
    pool = one(running((text, ["www", "www"], "/usr/sbin/php-fpm8.2")))
    assert pool == RunningPool(
        name="www",
        master_pid=1000,
        config=str(tmp_path / "master1.conf"),
        files=(str((tmp_path / "master1.conf").resolve()),),
        version="8.2",
        workers=(1001, 1002),
        pools_on_host=1,
        process_max=64,
        settings=pool.settings,
        listen="/run/www.sock",
        status_path="/status",
        access_log="/var/log/www.access.log",
        access_format="%t %d",
        slowlog="/var/log/www.slow",
        error_log="/var/log/fpm.log",
    )
    assert (pool.pm, pool.max_children) == ("static", 4)


def test_every_pool_of_every_master_is_listed_those_at_rest_too(running: List) -> None:
    rest = "[rest]\nlisten = 9001\npm = ondemand\npm.max_children = 3\n"
    pools = running((WWW + rest, ["www"], "/usr/sbin/php-fpm8.2"), (WWW, ["www"] * 4, "/usr/sbin/php-fpm8.3"))
    assert [(pool.name, pool.master_pid, pool.version, len(pool.workers)) for pool in pools] == [
        ("www", 1000, "8.2", 1),
        ("rest", 1000, "8.2", 0),
        ("www", 2000, "8.3", 4),
    ]
    assert {pool.pools_on_host for pool in pools} == {3}


@pytest.mark.parametrize(
    ("binary", "version"),
    [
        ("/usr/sbin/php-fpm8.2", "8.2"),
        ("/usr/sbin/php-fpm8.2 (deleted)", "8.2"),
        ("/usr/sbin/php-fpm83", "8.3"),
        ("/opt/remi/php74/root/usr/sbin/php-fpm", "7.4"),
        ("/opt/plesk/php/8.1/sbin/php-fpm", "8.1"),
        ("/usr/local/sbin/php-fpm", None),
        ("/srv/2.4/php-fpm", None),
        ("/opt/php7033/sbin/php-fpm", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_the_binary(running: List, binary: str, version: str | None) -> None:
    assert one(running((WWW, [], binary))).version == version


def test_without_a_telling_binary_the_directory_of_the_configuration_tells_the_version(
    running: List, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc/php/8.2/fpm").mkdir(parents=True)
    title = f"php-fpm: master process ({tmp_path}/etc/php/8.2/fpm/php-fpm.conf)"
    running((WWW, [], "/usr/sbin/php-fpm"))
    master = SimpleNamespace(pid=1000, info={"ppid": 1, "cmdline": [title]})
    child = SimpleNamespace(pid=1001, info={"ppid": 1000, "cmdline": ["php-fpm: pool www"]})
    monkeypatch.setattr(psutil, "process_iter", lambda attributes: iter([master, child]))
    assert one(list_pools()).version == "8.2"


STATUS = "pm.status_listen = /run/status.sock\npm.status_path = /status\n"


def test_a_status_socket_is_no_pool_and_its_children_are_no_workers(running: List) -> None:
    pool = one(running((WWW + STATUS, ["www", "www_status", "www"], "")))
    assert (pool.workers, pool.status_listen, pool.status_path) == ((1001, 1003), "/run/status.sock", "/status")
    assert pool.notes == ()


def test_a_status_socket_without_a_path_answers_at_the_root(running: List) -> None:
    pool = one(running((WWW + "pm.status_listen = /run/status.sock\n", [], "")))
    assert pool.status_path == "/"


def test_a_real_pool_may_be_called_like_a_status_socket(running: List) -> None:
    real = WWW.replace("www", "www_status")
    pools = running((WWW + real, ["www", "www_status"], ""))
    assert [(pool.name, pool.workers, pool.notes) for pool in pools] == [
        ("www", (1001,), ()),
        ("www_status", (1002,), ()),
    ]
    both = running((WWW + STATUS + real, ["www", "www_status"], ""))
    assert [pool.name for pool in both] == ["www", "www_status"]
    assert both[1].notes == ("children called 'www_status' may belong to the status socket of another pool, too",)


def test_what_runs_but_is_not_configured_is_listed_with_a_note(running: List) -> None:
    www, old = running((WWW + STATUS, ["www", "old", "www_status"], ""))
    assert (www.name, old.name, old.workers, old.settings) == ("www", "old", (1002,), None)
    assert "does not name it" in old.notes[0]


@pytest.mark.parametrize("text", [None, "\0binary", "<?xml version='1.0'?>", "pm = {{ php_pm }}"])
def test_without_a_configuration_the_titles_tell_the_pools(running: List, text: str | None) -> None:
    pools = running((text, ["www", "www_status", "shop_status"], ""))
    assert [pool.name for pool in pools] == ["www", "shop_status"]
    assert all("could not be read" in pool.notes[0] for pool in pools)
    assert {pool.listen for pool in pools} == {None}


def test_settings_fpm_would_refuse_are_told(running: List) -> None:
    pool = one(running((WWW.replace("= 4", "= 0"), ["www"], "")))
    assert (pool.settings, pool.pm, pool.max_children) == (None, None, None)
    assert "FPM would refuse" in pool.notes[0]


@pytest.mark.parametrize("directive", ["access.log", "slowlog", "listen"])
def test_a_relative_path_is_unknown_unless_the_pool_has_a_prefix(running: List, directive: str) -> None:
    field = directive.replace(".", "_")
    line = f"{directive} = log/$pool.x\n"
    pool = one(running((WWW + line, [], "")))
    assert getattr(pool, field) is None
    assert pool.notes == (f"{directive} = 'log/www.x' is below FPM's prefix, which is not known",)
    known = one(running((WWW + line + "prefix = /srv/$pool\n", [], "")))
    assert (getattr(known, field), known.notes) == ("/srv/www/log/www.x", ())


def test_the_error_log_is_not_below_the_prefix_of_a_pool(running: List) -> None:
    pool = one(running((f"[global]\nerror_log = log/fpm.log\n{WWW}prefix = /srv\n", [], "")))
    assert pool.error_log is None
    assert "error_log = 'log/fpm.log' is below FPM's prefix" in pool.notes[0]


@pytest.mark.parametrize("stream", ["/proc/self/fd/2", "/dev/stderr", "/dev/fd/1", "syslog"])
def test_a_stream_is_no_file_to_read(running: List, stream: str) -> None:
    pool = one(running((f"[global]\nerror_log = {stream}\n{WWW}", [], "")))
    assert pool.error_log is None
    assert pool.notes == (f"error_log goes to {stream}, not to a file",)


@pytest.mark.parametrize("listen", ["9000", "127.0.0.1:9000", "[::]:9000", "/run/a.sock"])
def test_an_address_stays_as_it_is(running: List, listen: str) -> None:
    pool = one(running((WWW + f"listen = {listen}\n", [], "")))
    assert (pool.listen, pool.notes) == (listen, ())
