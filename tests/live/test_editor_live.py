"""After an edit the real php-fpm sees the new values, and nothing else has changed for it."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from capacity.errors import InvalidInput
from capacity.fpm.directives import SIZING, convert
from capacity.fpm.editor import set_directives
from capacity.fpm.pool_file import read_pools

pytestmark = pytest.mark.live

USER = "user = www-data" if os.geteuid() == 0 else "; no user"
KINDS = {directive.name: directive.kind for directive in SIZING}
# Never a rule of FPM's broken, whatever is set and whatever is not.
SAFE = {
    "pm": ["static", "dynamic", "ondemand", "Dynamic"],
    "pm.max_children": [str(n) for n in range(20, 60)],
    "pm.min_spare_servers": ["1", "2", "3"],
    "pm.start_servers": ["4", "5", "0"],
    "pm.max_spare_servers": ["6", "7", "20"],
    "pm.max_spawn_rate": ["1", "9", "32"],
    "pm.process_idle_timeout": ["5", "10s", "2m"],
    "pm.max_requests": ["0", "500", "1000"],
    "listen.backlog": ["-1", "511", "4096"],
    "request_terminate_timeout": ["0", "30", "30s", "1m", "1h"],
}


def shown(php_fpm: str, data: bytes, path: Path) -> dict[str, dict[str, str]]:
    """The directives php-fpm prints, by section."""
    path.write_bytes(data)
    done = subprocess.run([php_fpm, "-n", "-tt", "-y", path], capture_output=True, timeout=60, check=False)
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, (said, data)
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in said.splitlines():
        text = re.sub(r"^\[[^\]]*\] NOTICE: ", "", line)
        if header := re.fullmatch(r"\[(.*)\]", text):
            section = sections.setdefault(header.group(1), {})
        elif pair := re.fullmatch(r"\t([^ ]+(?:[^=]*\])?) = (.*)", text):
            section[pair.group(1)] = pair.group(2)
    return sections


class Writer:
    """Pool files of odd but valid shapes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def line(self, name: str) -> str:
        value = self.random.choice(SAFE[name])
        value = self.one(value, value, value, f'"{value}"', f"'{value}'", f'"{value[:1]}"{value[1:]}')
        name = self.one(name, name, name.upper(), name.title())
        comment = self.one("", "", "", " ; pm.max_children = 1", ";", "\t;; 'x", ' ; "', " ; caf\u00e9")
        return self.one("", "", " ", "\t") + name + self.one("=", " = ", "\t=\t", " =  ") + value + comment

    def pool(self, name: str, number: int) -> list[str]:
        must = ["pm", "pm.max_children", "pm.min_spare_servers", "pm.max_spare_servers"]
        names = must + self.random.choices(list(SAFE), k=self.random.randint(0, 8))
        self.random.shuffle(names)
        lines = [f"[{name}]" + self.one("", " ; pool", " "), f"listen = 127.0.0.1:{10000 + number}", USER]
        for directive in names:
            lines += [
                self.line(directive),
                *self.one("", "", "\n;pm.max_children = 5", "\nphp_value[a] = 'b;c'").split("\n")[1:],
            ]
        return lines

    def file(self, pools: int) -> bytes:
        lines = self.one("", "[global]\ndaemonize = no", "daemonize = no ; x", "[global]").split("\n")
        names = [f"p{number}" + self.one("", "-x", ".Y") for number in range(pools)]
        for number, name in enumerate(names):
            lines += self.pool(name, number)
        for name in names:
            if self.random.random() < 0.4:
                lines += [
                    self.one(f"[{name}]", f"[{name.upper()}] {self.line('pm.max_requests')}"),
                    self.line("pm.max_children"),
                ]
        end = self.one("\n", "\n", "\r\n")
        text = end.join(lines).encode(self.one("utf-8", "latin-1"))
        return (b"\xef\xbb\xbf" if self.random.random() < 0.1 else b"") + text + self.one("", end).encode()

    def changes(self) -> dict[str, str | int]:
        chosen: dict[str, str | int] = {}
        for name in self.random.sample(list(SAFE), self.random.randint(1, 5)):
            text = self.random.choice(SAFE[name])
            number = re.fullmatch("-?[0-9]+", text) and self.random.random() < 0.5
            chosen[self.one(name, name, name.upper())] = int(text) if number else text
        return chosen


def as_printed(name: str, value: str | int, manager: str) -> str | None:
    """What -tt prints for it; None where the process manager overwrites it."""
    directive = next(directive for directive in SIZING if directive.name == name)
    if directive.only_for not in (None, manager) or (name == "pm.start_servers" and str(value) == "0"):
        return None
    text = str(convert(directive.kind, name, str(value).lower(), []))
    return f"{text}s" if name == "request_terminate_timeout" else text


def test_php_fpm_sees_every_edit_and_no_other_change(php_fpm: str, tmp_path: Path) -> None:
    edits = 0
    for seed in range(200):
        writer = Writer(seed)
        data = writer.file(pools=6)
        before = shown(php_fpm, data, tmp_path / "pools.conf")
        edited, wanted = data, {}
        for name in read_pools(data).pools:
            if writer.random.random() < 0.7:
                changes = writer.changes()
                wanted[name] = {key.lower(): value for key, value in changes.items()}
                edited = set_directives(edited, writer.one(name, name.upper()), changes)
                edits += len(changes)
        after = shown(php_fpm, edited, tmp_path / "pools.conf")
        assert list(after) == list(before)
        for name, section in after.items():
            changed = wanted.get(name, {})
            for directive, value in changed.items():
                printed = as_printed(directive, value, section.get("pm", ""))
                assert printed in (None, section[directive]), (seed, name, directive)
            same = {k: v for k, v in section.items() if k not in changed}
            if "pm" in changed or {"pm.min_spare_servers", "pm.max_spare_servers"} & set(changed):
                # These move what FPM prints for others: start_servers where unset, and all spares of an ondemand pool.
                same = {k: v for k, v in same.items() if k not in KINDS}
            assert same == {k: before[name][k] for k in same}, (seed, name)
    assert edits > 2000


@pytest.mark.parametrize("with_header", [True, False])
def test_global_directives_and_a_directive_turned_off(php_fpm: str, tmp_path: Path, with_header: bool) -> None:
    head = "[global]\n" if with_header else ""
    pool = f"[www]\nlisten = 127.0.0.1:10000\n{USER}\npm = static\npm.max_children = 5\n"
    data = f"{head}daemonize = no\n{pool}pm.max_requests = 7 ; x\npm.max_requests = 8".encode()
    edited = set_directives(data, "global", {"process_control_timeout": 20, "process.max": "30"})
    edited = set_directives(edited, "www", {"pm.max_requests": None})
    sections = shown(php_fpm, edited, tmp_path / "pools.conf")
    assert sections["global"]["process_control_timeout"] == "20s"
    assert sections["global"]["process.max"] == "30"
    assert sections["www"]["pm.max_requests"] == "0"


def test_what_an_include_sets_is_what_php_fpm_sees(php_fpm: str, tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text("pm.max_children = 6\n")
    include = f"include = {tmp_path}/*.inc\n"
    pool = f"[www]\nlisten = 127.0.0.1:10000\n{USER}\npm = static\n"

    def files(_: str) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.glob("*.inc")}

    below = f"{pool}pm.max_children = 5\n{include}".encode()
    assert shown(php_fpm, below, tmp_path / "pools.conf")["www"]["pm.max_children"] == "6"
    with pytest.raises(InvalidInput, match="an include is in effect"):
        set_directives(below, "www", {"pm.max_children": 9}, include=files)
    above = f"{pool}{include}pm.max_children = 5\n".encode()
    edited = set_directives(above, "www", {"pm.max_children": 9}, include=files)
    assert shown(php_fpm, edited, tmp_path / "pools.conf")["www"]["pm.max_children"] == "9"
