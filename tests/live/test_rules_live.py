"""`capacity.fpm.rules` accepts and refuses what the real `php-fpm -t` does, with its words."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from capacity.fpm.pool_file import read_pools
from capacity.fpm.rules import check, refusal

pytestmark = pytest.mark.live

ROOT = os.geteuid() == 0
NUMBERS = [
    "0", "1", "2", "3", "5", "8", "20", "-1", "-5", "", "007", "100000", "4294967301", "2147483648", "99999999999",
    "5M", "5.0", "+5", "on", "off", "' 5'", "x", "1e3", '"6"', "-", "5-",
]  # fmt: skip
TIMES = [
    "0",
    "1",
    "5",
    "30s",
    "500ms",
    "1m",
    "2h",
    "1d",
    "1.5s",
    "-5",
    "-5s",
    "s",
    "",
    "5S",
    "5x",
    "off",
    "100000d",
    '"7"',
]
PATHS = ["/status", "/", "status", "/a b", '"/a~b.c-d_e"', "/\u00e9", "/x?y", '""', "/a/b", "/a'b'", '"/a;b"']
BOOLEANS = [
    "yes",
    "no",
    "1",
    "0",
    "Yes",
    '"Yes"',
    '"yes"',
    "on",
    "none",
    "null",
    '"null"',
    "5",
    "x",
    "",
    "'off'",
    "TRUE",
]
FORMATS = [
    "%R - %u %t \"%m %r%Q%q\" %s %f %{milli}d %{kilo}M %C%%", "%x", "%{a}e", "%e", "%o", "%{x}o", "%{x}p", "%{foo}d",
    "%{SECONDS}d", "%{user}C", "%{x}C", "%{mega}M", "%{a", "%{%d/%b/%Y:%H:%M:%S %z}t", "%T", "%{}e", "%{}d", "%",
    "%%x%d", "%{a}{b}e", "%{a}%", "%D", "%l %n %p %P", "%{a}{}o", "plain", "", "%{microseconds}d%{x}M",
]  # fmt: skip
POOL = {
    "pm": ["static", "dynamic", "ondemand", "Static", "fast", "", "on"],
    "pm.max_children": NUMBERS,
    "pm.start_servers": NUMBERS,
    "pm.min_spare_servers": NUMBERS,
    "pm.max_spare_servers": NUMBERS,
    "pm.max_spawn_rate": NUMBERS,
    "pm.max_requests": NUMBERS,
    "pm.process_idle_timeout": TIMES,
    "listen.backlog": NUMBERS,
    "request_terminate_timeout": TIMES,
    "request_slowlog_timeout": TIMES,
    "request_slowlog_trace_depth": NUMBERS,
    "slowlog": ["{tmp}/slow.log", '""'],
    "pm.status_path": PATHS,
    "pm.status_listen": ["127.0.0.1:10001", "127.0.0.1:10002", "s.sock", "/usr/t.sock", '""'],
    "ping.path": PATHS,
    "ping.response": ["pong", "off", '""', "a b"],
    "access.log": ["{tmp}/access.log", "{tmp}/access.log", '""'],
    "process.priority": ["-19", "20", "21", "-20", "64", "x"],
    "rlimit_core": ["unlimited", "0", "-1", "x", "UNLIMITED"],
    "rlimit_files": NUMBERS,
    "catch_workers_output": BOOLEANS,
    "clear_env": BOOLEANS,
    "process.dumpable": BOOLEANS,
    "php_flag[a]": BOOLEANS,
    "php_admin_value[a]": ["x", "5"],
    "access.suppress_path[]": ["/a", "a"],
    "access.suppress_path[k]": ["/a"],
    "foo": ["1"],
    "foo[a]": ["1"],
    "process.max": ["5"],
    "pm.max_children[a]": ["5"],
    "listen.setfib": ["1"],
    "listen": ["127.0.0.1:10002", '""', "t.sock"],
    "user": ["www-data"],
}
GLOBAL = {
    "log_limit": ["511", "512", "x", "", "99999999999", "4294967297"],
    "process.max": ["0", "1", "-1", "x", "", "4294967295"],
    "process.priority": ["20", "21", "64", "-20"],
    "events.mechanism": ["epoll", "EPOLL", "poll", "select", "kqueue", "auto", '""'],
    "log_level": ["notice", "NOTICE", "noise", ""],
    "syslog.facility": ["daemon", "LOCAL7", "local8", "auth", "x"],
    "process_control_timeout": TIMES,
    "emergency_restart_interval": TIMES,
    "emergency_restart_threshold": NUMBERS,
    "systemd_interval": TIMES,
    "daemonize": BOOLEANS,
    "log_buffering": BOOLEANS,
    "listen": ["127.0.0.1:10000"],
    "env[A]": ["b"],
    "rlimit_core": ["-1", "5"],
}


def configuration(seed: int, directory: Path) -> bytes:
    """A configuration of one or two pools that breaks none, one or several rules."""
    rng = random.Random(seed)
    overall = {"error_log": f"{directory}/error.log"}
    for name in rng.sample(list(GLOBAL), rng.choice([0, 0, 0, 1])):
        overall[name] = rng.choice(GLOBAL[name])
    lines = ["[global]", *(f"{name} = {text}" for name, text in overall.items())]
    for number in range(rng.choice([1, 1, 2])):
        pool = {
            "listen": f"127.0.0.1:{10001 + number}",
            "user": "www-data",
            "pm": rng.choice(["static", "dynamic", "ondemand"]),
            "pm.max_children": rng.choice(["5", "8", "20"]),
            "pm.min_spare_servers": rng.choice(["1", "2", "3"]),
            "pm.max_spare_servers": rng.choice(["3", "4", "5"]),
        }
        for name in rng.sample(list(POOL), rng.choice([0, 1, 1, 2, 3])):
            pool[name] = rng.choice(POOL[name]).replace("{tmp}", str(directory))
        if rng.random() < 0.15:
            pool.pop(rng.choice(["listen", "user", "pm", "pm.max_children", "pm.min_spare_servers"]))
        lines += [f"[p{number}]"]
        if rng.random() < 0.1:
            name = rng.choice(["pm.max_children", "request_terminate_timeout", "clear_env"])
            lines += [f"{name} = {rng.choice(POOL[name])}", f"{name} = 1"]
        if "access.log" in pool:
            text = rng.choice(FORMATS)
            pool["access.format"] = "'" + text + "'" if text else '""'
        lines += [f"{name} = {text}" for name, text in pool.items()]
    return "\n".join(lines).encode() + b"\n"


def compare(php_fpm: str, data: bytes, directory: Path) -> bool:
    """Whether both accept; fails where they differ, in the verdict or in the words."""
    path = directory / "pools.conf"
    path.write_bytes(data)
    done = subprocess.run([php_fpm, "-n", "-t", "-y", path], capture_output=True, timeout=60, check=False)
    said = done.stderr.decode("utf-8", "replace")
    file = read_pools(data)
    refused = refusal(check(file.pools, file.global_settings, root=ROOT, overridden=file.overridden))
    assert (refused is None) == (done.returncode == 0), (refused, said, data.decode())
    if refused is not None:
        first = next(line for line in said.splitlines() if "ERROR: " in line or "ALERT: " in line)
        assert refused.said in first, (refused, said, data.decode())
    return refused is None


def test_php_fpm_and_the_rules_agree_on_generated_settings(php_fpm: str, tmp_path: Path) -> None:
    accepted = sum(compare(php_fpm, configuration(seed, tmp_path), tmp_path) for seed in range(700))
    assert 200 < accepted < 500


BASE = {"pm": "dynamic", "pm.max_children": "20", "pm.min_spare_servers": "2", "pm.max_spare_servers": "6"}
STATIC = {"pm": "static", "pm.max_children": "5"}
ACCEPTED = [
    BASE, {**BASE, "pm.start_servers": "0"}, {**BASE, "pm.start_servers": "-3"}, {**BASE, "pm.max_requests": "-5"},
    {**STATIC, "pm.start_servers": "900"}, {**STATIC, "pm.min_spare_servers": "9", "pm.max_spare_servers": "1"},
    {**BASE, "pm": "ondemand", "pm.max_spare_servers": "900"}, {**STATIC, "pm.max_children": "100000"},
    {**STATIC, "pm.max_children": "4294967301"}, {**STATIC, "request_terminate_timeout": "500ms"},
    {**STATIC, "request_terminate_timeout": "-5"}, {**STATIC, "pm.max_spawn_rate": "0"},
    {**STATIC, "listen.backlog": "-7"},
    {**BASE, "pm.min_spare_servers": "6", "pm.start_servers": "6"}, {**BASE, "pm": "DYNAMIC"},
    {**BASE, "pm.max_spare_servers": "20", "pm.start_servers": "20"}, {**STATIC, "pm.process_idle_timeout": "0"},
]  # fmt: skip
REFUSED = [
    {"pm": "dynamic", "pm.max_children": "20"}, {**BASE, "pm.max_spare_servers": "21"},
    {"pm": "dynamic", "pm.max_children": "20", "pm.min_spare_servers": "2"}, {**BASE, "pm.start_servers": "1"},
    {**BASE, "pm.start_servers": "7"}, {**BASE, "pm.max_children": "20.5"}, {**BASE, "pm.max_children": "0"},
    {"pm": "static"}, {"pm.max_children": "5"}, {**BASE, "pm.min_spare_servers": "7"},
    {**BASE, "pm.max_spawn_rate": "0"},
    {**BASE, "pm": "ondemand", "pm.process_idle_timeout": "0"}, {**STATIC, "request_slowlog_timeout": "5"},
    {**STATIC, "pm.max_children": "2147483648"}, {**STATIC, "request_terminate_timeout": "off"},
    {**STATIC, "pm.status_path": "status"}, {**STATIC, "ping.path": "/"}, {**STATIC, "pm.status_path": "/a?b"},
    {**BASE, "pm.min_spare_servers": "0"}, {**BASE, "pm.max_spare_servers": "-1"},
    {**BASE, "pm.min_spare_servers": "30"}, {**STATIC, "process.priority": "40"},
    {**STATIC, "listen": "127.0.0.1:10001", "pm.status_listen": "127.0.0.1:10001"},
]  # fmt: skip


@pytest.mark.parametrize("pool", [*ACCEPTED, *REFUSED])
def test_surprising_accepts_and_refusals(php_fpm: str, tmp_path: Path, pool: dict[str, str]) -> None:
    texts = {"listen": "127.0.0.1:10001", "user": "www-data", **pool}
    lines = [
        "[global]",
        f"error_log = {tmp_path}/e.log",
        "process.max = 1",
        "[www]",
        *(f"{k} = {v}" for k, v in texts.items()),
    ]
    assert compare(php_fpm, "\n".join(lines).encode(), tmp_path) == (pool in ACCEPTED)


@pytest.mark.parametrize(
    "lines",
    [
        "", "[global]\n", "[a]\n", "[a]\nlisten = a.sock\n[b]\nlisten = /usr/a.sock\n",
        "[a]\nlisten = 9000\n[b]\nlisten = 127.0.0.1:9000\n",
        "[a]\nlisten = /a\n[b]\nlisten = /b\n[c]\nlisten = /b\n[d]\nlisten=/a\n",
        "[a]\nlisten = /a\npm.status_listen = /b\n[b]\nlisten = /b\n",
        "[a]\nlisten = /a\npm.status_listen = x\n[b]\nlisten = /usr/x\n",
        "[a]\nlisten = /a\npm.status_listen = /s\n[b]\nlisten = /b\npm.status_listen = /s\n",
        "[a]\nlisten = /$pool\n[b]\nlisten = /$pool\n", "[a]\nlisten = /a\npm.status_listen = /s\npm.status_path = /\n",
    ],
)  # fmt: skip
def test_pools_and_their_sockets(php_fpm: str, tmp_path: Path, lines: str) -> None:
    texts = []
    for line in lines.splitlines():
        texts.append(line)
        if line.startswith("[") and line != "[global]":
            texts += ["user = www-data", "pm = static", "pm.max_children = 3"]
    compare(php_fpm, "\n".join(texts).encode() + b"\n", tmp_path)
