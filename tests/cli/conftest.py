"""Run the command line: in this process, which is fast, or in one of its own, which is real."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from capacity.cli import main

FILE = """
[host]
ram = "8GiB"
reserved = "2GiB"
cpus = 8
[worker]
memory = "48MiB"
[workload]
service_time = "200ms"
users = 100
think_time = "4s"
[pool]
pm = "static"
max_children = 30
"""
"""A scenario file with nothing of the case study in it."""

WWW = """
[www]
pm = dynamic
pm.max_children = 12
pm.start_servers = 4
pm.min_spare_servers = 3
pm.max_spare_servers = 7
pm.max_requests = 500
"""
TWO = """
[app]
pm = static
pm.max_children = 7
[admin]
pm = ondemand
pm.max_children = 3
pm.process_idle_timeout = 20s
"""


@dataclass(frozen=True)
class Ran:
    """Exit code, standard output and standard error of one run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def fields_assumed(self) -> dict[str, Any]:
        return {entry["field"]: entry["value"] for entry in self.json["assumptions"]}


def run(*arguments: str, stdin: str | bytes = b"") -> Ran:
    """Run ``capacity`` in this process; nothing but SystemExit may come out of it."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with (
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main(list(arguments))
        except SystemExit as left:
            code = left.code
    assert isinstance(code, int)
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return Ran(code, *texts)


def spawn(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m capacity`` in a process of its own."""
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False} | options
    options["env"] = {**os.environ, **options.get("env", {})}
    return subprocess.run([sys.executable, "-m", "capacity", *arguments], **options)


def assert_refused(ran: Ran, *names: str) -> None:
    """Exit code 2, a few lines on stderr that name what is wrong, nothing on stdout, no traceback."""
    assert ran.code == 2, ran
    assert ran.out == ""
    assert_readable(ran.err)
    for name in names:
        assert name in ran.err, (name, ran.err)


def assert_readable(err: str) -> None:
    assert "Traceback" not in err
    assert "internal" not in err
    assert "Warning" not in err
    assert "Error: " in err
    lines = err.splitlines()
    assert len(lines) <= 10, err
    assert all(len(line) <= 600 for line in lines), err
    assert all(line.strip("\t").isprintable() for line in lines), err
