"""What is found of an installation and an application, and what is not guessed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from capacity import InvalidInput, UnreadableFile
from capacity.plan.installation import inspect_installation
from capacity.plan.probe import fpm_version, http_status, php_extensions, pid_of, read_file, service_active

from .conftest import ENV, POOL, Host

Make = Callable[..., Host]


def test_the_main_configuration_near_the_pool_file_is_found(host: Host) -> None:
    there = host.installation()
    assert there.config.path == str(host.config)
    assert there.pid_file == f"{host.directory}/fpm.pid"
    line = host.config.read_bytes()[there.include.offset :][: there.include.length] if there.include else b""
    assert line == f"include={host.directory}/pool.d/*.conf".encode()
    assert there.include is not None
    assert there.include.files == (str(host.pool_file),)


def test_all_files_of_an_include_are_known_in_fpms_order(host: Host) -> None:
    for name in ("zz.conf", "a.conf", ".hidden.conf", "not.conf.bak"):
        text = f"[{name}]\nuser = www-data\nlisten = {host.directory}/{name}.sock\npm = static\npm.max_children = 1\n"
        host.pool_file.with_name(name).write_text(text)
    there = host.installation()
    assert there.include is not None
    assert [Path(path).name for path in there.include.files] == ["a.conf", "app.conf", "zz.conf"]
    assert [Path(state.path).name for state in there.others] == ["a.conf", "zz.conf"]
    assert list(there.file.pools) == ["a.conf", "app", "zz.conf"]


def test_a_pool_in_the_main_configuration_needs_no_include(host: Host) -> None:
    text = f"[global]\npid = {host.directory}/fpm.pid\n" + POOL.replace("{directory}", str(host.directory))
    host.pool_file.write_text(text)
    host.config.unlink()
    there = host.installation()
    assert there.config.path == there.pool_file.path == str(host.pool_file)
    assert there.include is None
    assert there.notes == ()


def test_a_pool_file_that_nothing_includes_is_judged_alone_and_that_is_told(host: Host) -> None:
    host.config.write_text("[global]\ninclude=/nowhere/*.conf\n")
    there = host.installation()
    assert there.config.path == str(host.pool_file)
    assert any("no php-fpm.conf that includes" in note for note in there.notes)
    with pytest.raises(InvalidInput, match=r"--fpm-config must include .*app\.conf"):
        host.installation(config=str(host.config))


def test_an_include_on_two_lines_is_refused(host: Host) -> None:
    host.config.write_text(host.config.read_text() * 2)
    with pytest.raises(InvalidInput, match="once, on a line of its own"):
        host.installation()


def test_a_configuration_that_is_broken_already_is_told_to_be_mended(make_host: Make) -> None:
    with pytest.raises(InvalidInput, match=r"must be accepted by php-fpm -t.*mend it first"):
        make_host(pool=POOL.replace("= 20", "= 0")).installation()
    with pytest.raises(InvalidInput, match=r"app\.conf"):
        make_host(pool=POOL + "this is no directive\n").installation()


def test_a_pool_that_is_not_there_is_told_with_those_that_are(host: Host) -> None:
    with pytest.raises(InvalidInput, match=r"pool must be in .*php-fpm\.conf; got 'www' \(it has app\)"):
        inspect_installation(str(host.pool_file), "www")
    assert inspect_installation(str(host.pool_file), "APP").pool == "app"  # as FPM compares


def test_a_symbolic_link_is_followed_once_and_told(host: Host) -> None:
    real = host.directory / "kept" / "app.conf"
    real.parent.mkdir()
    host.pool_file.rename(real)
    host.pool_file.symlink_to(real)
    there = inspect_installation(str(host.pool_file), "app", config=str(host.config))
    assert there.pool_file.path == str(real)
    assert there.include is not None
    assert there.include.files == (str(real),)
    assert any("is a symbolic link" in note for note in there.notes)


@pytest.mark.parametrize(
    ("binary", "service"),
    [
        ("/usr/sbin/php-fpm8.2", "php8.2-fpm"),
        ("/usr/sbin/php-fpm", "php-fpm"),
        ("php-fpm7.4", "php7.4-fpm"),
    ],
)
def test_the_service_is_called_after_the_binary(host: Host, binary: str, service: str) -> None:
    assert host.installation(binary=binary).service == service
    assert host.installation(binary=binary, service="mine").service == "mine"


def test_a_binary_that_is_not_here_leaves_release_and_extensions_unknown(host: Host) -> None:
    there = host.installation(binary="php-fpm5.9")
    assert (there.version, there.extensions, dict(there.information)) == (None, None, {})
    assert any("does not run here" in note for note in there.notes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_a_binary_somebody_else_could_have_put_there_is_not_run(tmp_path: Path) -> None:
    binary = tmp_path / "php-fpm8.2"
    proof = tmp_path / "it-ran"
    binary.write_text(f"#!/bin/sh\ntouch {proof}\necho 'PHP 8.2.1 (fpm-fcgi)'\n")
    binary.chmod(0o755)
    assert fpm_version(str(binary)) == "8.2"
    proof.unlink()
    os.chown(binary, 33, 33)
    with pytest.raises(InvalidInput, match="must belong to root or to you"):
        fpm_version(str(binary))
    os.chown(binary, 0, 0)
    binary.chmod(0o777)
    with pytest.raises(InvalidInput, match="not be writable by others"):
        php_extensions(str(binary))
    assert not proof.exists()


# --- files


def test_a_file_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    fifo, link, folder = tmp_path / "fifo", tmp_path / "link", tmp_path / "folder"
    os.mkfifo(fifo)
    (tmp_path / "file").write_text("x")
    link.symlink_to(tmp_path / "file")
    folder.mkdir()
    (tmp_path / "way").symlink_to(folder)
    (folder / "file").write_text("x")
    (tmp_path / "large").write_bytes(b"x" * (2**20 + 1))
    for path, said in {
        fifo: "not a regular file",
        link: "symbolic link",
        tmp_path / "way" / "file": "symbolic link",
        folder: "directory|not a regular file",
        tmp_path / "none": "No such file",
        tmp_path / "large": "larger than 1 MiB",
        Path("/dev/zero"): "not a regular file",
        Path("/a\nb"): "No such file",
    }.items():
        with pytest.raises(UnreadableFile, match=said) as refused:
            read_file(str(path))
        assert "\n" not in str(refused.value)


def test_what_is_secret_is_not_in_the_repr(host: Host) -> None:
    assert "hunter" not in repr(host.installation())
    assert "hunter" not in repr(host.application())


# --- processes and sites


def test_a_pid_file_counts_while_the_process_lives_and_has_the_name(tmp_path: Path) -> None:
    pid_file, name = tmp_path / "pid", "sleep"
    with subprocess.Popen([name, "60"]) as process:
        try:
            pid_file.write_text(f"{process.pid}\n")
            deadline = time.monotonic() + 30
            while pid_of(str(pid_file), (name,)) != process.pid:  # between fork and exec it has our name
                assert time.monotonic() < deadline
            assert pid_of(str(pid_file), ("php-fpm8.2",)) is None
            assert service_active("x", str(pid_file), (name,)) in {True, False}  # as systemd runs here or not
            for text in ("", "0", "-1", "x", "99999999", "1 2", "9" * 40):
                pid_file.write_text(text)
                assert pid_of(str(pid_file), (name,)) is None
            pid_file.write_text(f"{process.pid}\n")
        finally:
            process.kill()
    assert pid_of(str(pid_file), (name,)) is None
    assert pid_of(str(tmp_path / "none"), (name,)) is None


def test_a_site_that_does_not_answer_has_no_status() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert http_status(f"http://127.0.0.1:{port}/", timeout=2) is None
    assert http_status("http://256.1.1.1/", timeout=2) is None


# --- the application


def test_an_application_is_seen_without_its_values(host: Host) -> None:
    site = host.application()
    assert set(site.drivers) == {"SESSION_DRIVER", "CACHE_DRIVER"}
    assert (site.redis_host, site.client, site.is_laravel, site.config_cached) == ("set", "phpredis", False, False)
    assert site.user == host.env_file.owner()


@pytest.mark.parametrize(
    ("host_line", "known"),
    [
        ("REDIS_HOST=localhost", "set"),
        ("REDIS_HOST=/run/redis/redis.sock", "set"),
        ("REDIS_HOST=null", "missing"),
        ("REDIS_HOST=", "missing"),
        ("REDIS_HOST", "missing"),
        ("REDIS_HOST=cache.internal", "elsewhere"),
        ("REDIS_HOST=${X}", "unknown"),
    ],
)
def test_where_redis_is_is_told_in_a_word(make_host: Make, host_line: str, known: str) -> None:
    site = make_host(env=ENV.replace("REDIS_HOST=127.0.0.1", host_line)).application()
    assert site.redis_host == known


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_artisan_never_runs_as_root_where_others_own_the_application(host: Host) -> None:
    site = host.env_file.parent
    (site / "artisan").touch()
    cache = site / "bootstrap/cache"
    cache.mkdir(parents=True)
    assert host.application().user == "root"
    os.chown(site, 33, 33)
    assert host.application().user == "www-data"
    # a link to a file of root's, put there by whoever owns the application
    cache.rmdir()
    cache.symlink_to("/etc")
    os.lchown(cache, 33, 33)
    assert host.application().user == "www-data"
    assert host.application(user="deploy").user == "deploy"


@pytest.mark.skipif(os.geteuid() != 0, reason="root's own files")
def test_an_application_of_root_that_others_can_change_needs_a_user(host: Host) -> None:
    (host.env_file.parent / "artisan").touch()
    (host.env_file.parent / "artisan").chmod(0o666)
    with pytest.raises(InvalidInput, match=r"--app-user is needed: artisan is root's, but others can change it"):
        host.application()


def test_a_worker_is_not_the_master(tmp_path: Path) -> None:
    with Path("/proc/self/comm").open() as file:
        name = file.read().rstrip("\n")
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        (tmp_path / "pid").write_text(str(child))
        assert pid_of(str(tmp_path / "pid"), (name,)) is None
    finally:
        os.kill(child, signal.SIGKILL)
    # not yet waited for, it is a zombie: it has its name and is dead
    assert pid_of(str(tmp_path / "pid"), (name,)) is None
    os.waitpid(child, 0)


def test_a_pid_file_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    assert pid_of(str(tmp_path / "pid"), ("php-fpm8.2",)) is None


def test_a_site_that_drips_is_given_up_in_time() -> None:
    """A byte now and then keeps every time limit of a socket, but not ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while not over.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        assert http_status(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=0.5) is None
        over.set()
        thread.join()
