"""What php-fpm says of generated files is what the reader says of them."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from capacity.errors import InvalidInput
from capacity.fpm import pool_settings, read_pools, render
from capacity.fpm.directives import SIZING
from capacity.pool import PoolSettings

pytestmark = pytest.mark.live

DEFAULTS = {"max_spawn_rate": 32, "process_idle_timeout": 10, "listen_backlog": -1}
USER = "user = www-data\n" if os.geteuid() == 0 else ""


def ask(php_fpm: str, data: bytes, path: Path, mode: str = "-tt") -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit status, the pools php-fpm prints, and its words."""
    path.write_bytes(data)
    done = subprocess.run([php_fpm, "-n", mode, "-y", path], capture_output=True, timeout=60, check=False)
    said = done.stderr.decode("utf-8", "replace")
    pools: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in said.splitlines():
        text = re.sub(r"^\[[^\]]*\] NOTICE: ", "", line)
        if header := re.fullmatch(r"\[(.*)\]", text):
            section = pools.setdefault(header.group(1), {})
        elif pair := re.fullmatch(r"\t([^ ]+(?:[^=]*\])?) = (.*)", text):
            # Listed newest first; the one given first, thus listed last, takes effect.
            section[pair.group(1)] = pair.group(2)
    pools.pop("global", None)
    return done.returncode, pools, said


def effective(settings: PoolSettings) -> dict[str, str]:
    """What php-fpm prints for these settings; only what its process manager looks at."""
    shown = {}
    for directive in SIZING:
        if directive.only_for in (None, settings.pm):
            value = getattr(settings, directive.field)
            value = DEFAULTS.get(directive.field, 0) if value is None else value
            seconds = directive.name == "request_terminate_timeout"
            shown[directive.name] = f"{value}s" if seconds else str(value)
    return shown


class Writer:
    """Writes valid but wilful pool files: odd case, quotes, blanks, comments, duplicates, reopened pools."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def case(self, text: str) -> str:
        return "".join(c.upper() if self.chance(0.3) else c for c in text) if self.chance(0.2) else text

    def value(self, text: str) -> str:
        return self.one(
            text, text, text, f'"{text}"', f"'{text}'", f'"{text[:1]}"{text[1:]}', f"'{text[:1]}'{text[1:]}"
        )

    def number(self, low: int, high: int) -> str:
        number = self.random.randint(low, high)
        return self.one(str(number), str(number), str(number), f"0{number}", str(number + 2**32))

    def time(self, low: int, high: int) -> str:
        number = self.random.randint(low, high)
        return self.one(
            str(number),
            f"{number}s",
            f"{number}m",
            f"{number}h",
            f"{number}ms",
            f"{number}.5s",
            f"{number} s",
        )

    def text(self) -> str:
        quoted = [c for c in "ab;#=&|()!'\\ .[]{}<é" if self.chance(0.4)]
        return self.one(
            "pong", "a b\tc", "x#y # z", "a$b", "/p/$pool", "$pool.$pool", "C:/x", "on-off", "5", "yes", "Off ",
            '"on"', "a{b}", "<x>", "[y]", "'a;b'", "'it\"s'", '"a" b  "c"', "caf\u00e9", '"say \\"hi\\" \\\\ \\$"',
            '"' + "".join(quoted).rstrip("\\") + '"', '"C:\\dir\\"', "1.5 x", "'$pool'", "a,b:c*d%e@f?g/h",
        )  # fmt: skip

    def line(self, name: str, value: str) -> str:
        comment = self.one("", "", "", " ; pm.max_children = 1", ";", "\t;x = 'y", ' ; "')
        # A comment after a value that ends in a Windows backslash would undo that special case.
        comment = "" if value.endswith('\\"') else comment
        equals = self.one("=", " = ", "\t=\t", " =  ")
        return f"{self.one('', '', ' ', chr(9))}{name}{equals}{value}{comment}"

    def directive(self, pool: str) -> str:
        small = lambda: self.value(self.number(1, 9))  # noqa: E731
        name, value = self.random.choice(
            [
                ("pm", self.value(self.case(self.one("static", "dynamic", "ondemand")))),
                ("pm.max_children", self.value(self.number(9, 30))),
                ("pm.start_servers", self.value(self.one("0", "-3", "4", "5"))),
                ("pm.min_spare_servers", self.value(self.number(1, 4))),
                ("pm.max_spare_servers", self.value(self.number(5, 9))),
                ("pm.max_spawn_rate", small()),
                ("pm.process_idle_timeout", self.value(self.time(1, 50))),
                ("pm.max_requests", self.one(small(), "", "on", "off", "-")),
                ("listen.backlog", self.one(small(), "-1", "4294967295")),
                ("request_terminate_timeout", self.value(self.time(0, 50))),
                ("access.format", self.text()),
                ("ping.path", "/other"),
            ]
        )
        if self.chance(0.15):
            return self.line(
                self.one("php_value", "php_admin_value") + self.one("[A]", "[b.c]", '["Q"]'),
                self.text(),
            )
        return self.line(self.case(name), value)

    def pool(self, name: str, number: int) -> list[str]:
        lines = [
            f"[{name}]" + self.one("", " ", " ; pool"),
            f"listen = 127.0.0.1:{number + 10000}",
            USER.strip(),
            "ping.path = /ping",
        ]
        base = {
            "pm": "dynamic",
            "pm.max_children": "12",
            "pm.min_spare_servers": "3",
            "pm.max_spare_servers": "7",
        }
        lines += [self.line(self.case(key), self.value(value)) for key, value in base.items()]
        for _ in range(self.random.randint(0, 12)):
            lines.append(self.one("", "; comment", "  ;;", self.directive(name), self.directive(name)))
        return lines

    def file(self, pools: int) -> bytes:
        lines = [] if self.chance(0.5) else ["daemonize = no"]
        names = [f"p{number}" + self.one("", "-x", ".y_Z", " z") for number in range(pools)]
        for number, name in enumerate(names):
            lines += self.pool(name, number)
        for name in names:
            if self.chance(0.3):
                lines += [f"[{self.case(name)}]", self.directive(name), self.directive(name)]
            if self.chance(0.2):
                lines += [
                    "[GLOBAL]",
                    "log_limit = 2048" if self.chance(0.5) else "daemonize = yes",
                    f"[{name}] ping.path=/q",
                ]
        end = self.one("\n", "\n", "\r\n")
        head = b"\xef\xbb\xbf" if self.chance(0.2) else b""
        encoding = self.one("utf-8", "latin-1")
        return head + end.join(lines).encode(encoding) + self.one("", end).encode()


def test_php_fpm_and_the_reader_agree_on_generated_files(php_fpm: str, tmp_path: Path) -> None:
    compared = 0
    for seed in range(60):
        data = Writer(seed).file(pools=8)
        status, printed, said = ask(php_fpm, data, tmp_path / "pools.conf")
        assert status == 0, (seed, said, data)
        file = read_pools(data)
        assert b"".join(line.raw for line in file.lines) == data
        assert list(file.pools) == list(printed), seed
        for name, directives in file.pools.items():
            shown = effective(pool_settings(directives))
            assert shown == {key: printed[name][key] for key in shown}, (seed, name)
            texts = {key: text for key, text in directives.items() if "[" in key or key == "access.format"}
            as_printed = {key: text.encode().decode("utf-8", "replace") for key, text in texts.items()}
            if b"caf\xe9" not in data and b"\xe9" not in data:
                assert as_printed == {key: printed[name][key] for key in texts}, (seed, name)
            compared += 1
    assert compared == 480


REFUSED = [
    "pm.max_children = 5M", "pm.max_children = 5.0", "pm.max_children = +5", "pm.max_children = ' 5'",
    "pm.max_children = 0", "pm.max_children = -1", "pm.max_children = off", "pm.max_children =", "pm.max_children",
    "pm.max_children = 99999999999999999999", "pm.max_children = 2147483648", "pm = fast", "pm = on", "pm = ''",
    "pm.min_spare_servers = 0", "pm.max_spare_servers = 13", "pm.min_spare_servers = 8", "pm.start_servers = 2",
    "pm.start_servers = 8", "pm.max_spawn_rate = 0", "pm = ondemand\npm.process_idle_timeout = 0",
    "request_terminate_timeout = 5S", "request_terminate_timeout =", "request_terminate_timeout = '5 '",
    "request_terminate_timeout = off", "pm.max_requests = a = b", "# pm = static", "#pm = static", "pm", "on = 5",
    'ping.response = "open', "ping.response = on x", "ping.response = a on b", "[open", "pm.max_children;x = 5",
    "ping.response = ${A", "[global]\nerror_log = $pool",
]  # fmt: skip


@pytest.mark.parametrize("lines", REFUSED)
def test_what_php_fpm_refuses_the_reader_refuses(php_fpm: str, tmp_path: Path, lines: str) -> None:
    base = "pm = dynamic\npm.max_children = 12\npm.min_spare_servers = 3\npm.max_spare_servers = 7\n"
    data = f"[www]\nlisten = 127.0.0.1:10000\n{USER}{base}{lines}\n".encode()
    status, _, said = ask(php_fpm, data, tmp_path / "pools.conf")
    assert status != 0, said
    with pytest.raises(InvalidInput):
        pool_settings(read_pools(data).pools["www"])


def test_an_environment_gives_the_values_php_fpm_sees(
    php_fpm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPACITY_WORKERS", "17")
    lines = 'pm = static\npm.max_children = ${CAPACITY_WORKERS}\nping.path = "/a${CAPACITY_NONE}b"\n'
    data = f"[www]\nlisten = 127.0.0.1:10000\n{USER}{lines}".encode()
    _, printed, said = ask(php_fpm, data, tmp_path / "pools.conf")
    pool = read_pools(data, environment=os.environ).pools["www"]
    assert pool["pm.max_children"] == printed["www"]["pm.max_children"] == "17", said
    assert pool["ping.path"] == printed["www"]["ping.path"] == "/ab"


def test_included_files_stay_in_the_section_they_were_included_from(php_fpm: str, tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("pm.max_requests = 7\n[two]\nlisten = 127.0.0.1:10001\n" + USER)
    head = f"[www]\nlisten = 127.0.0.1:10000\n{USER}pm = static\npm.max_children = 2\n"
    tail = "pm = static\npm.max_children = 3\n"
    data = f"{head}include = {tmp_path}/*.inc\n{tail}".encode()
    _, printed, said = ask(php_fpm, data, tmp_path / "pools.conf")

    def include(pattern: str) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(tmp_path.glob(Path(pattern).name))}

    for name, directives in read_pools(data, include=include).pools.items():
        shown = effective(pool_settings(directives))
        assert shown == {key: printed[name][key] for key in shown}, said


def test_php_fpm_accepts_every_rendering_and_reads_the_settings_back(php_fpm: str, tmp_path: Path) -> None:
    written = []
    for children in [*range(1, 41), *range(45, 1001, 15), 1000]:
        least, most = max(1, children // 10), max(1, children * 4 // 10)
        common = {"max_children": children, "max_requests": 1000, "listen_backlog": 511}
        written += [
            PoolSettings(pm="dynamic", min_spare_servers=least, max_spare_servers=most, max_spawn_rate=16, **common),
            PoolSettings(pm="static", request_terminate_timeout=60, **common),
            PoolSettings(pm="ondemand", process_idle_timeout=20, **common),
        ]
    data = b""
    for number, settings in enumerate(written):
        listen = f"listen = 127.0.0.1:{10000 + number}\n{USER}"
        data += (render(settings, pool=f"p{number}", comments=["why; not", f"{number}"]) + listen).encode()
    status, printed, said = ask(php_fpm, data, tmp_path / "pools.conf", "-tt")
    assert status == 0, said
    assert ask(php_fpm, data, tmp_path / "pools.conf", "-t")[0] == 0
    read = read_pools(data).pools
    for number, settings in enumerate(written):
        assert pool_settings(read[f"p{number}"]) == settings
        shown = effective(settings)
        assert shown == {key: printed[f"p{number}"][key] for key in shown}
