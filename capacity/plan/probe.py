"""Ask the host: what a file is, which release a binary is, whether a service runs, what a site answers.

Nothing here changes anything, and no answer is None rather than an error.
"""

from __future__ import annotations

import grp
import hashlib
import http.client
import os
import pwd
import re
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from capacity.errors import InvalidInput, Problem, UnreadableFile
from capacity.units import shown

__all__ = [
    "SEARCH_PATH",
    "SYSTEMD",
    "FileState",
    "fpm_information",
    "fpm_version",
    "http_status",
    "is_directory",
    "is_file",
    "is_trusted",
    "php_extensions",
    "pid_of",
    "read_file",
    "service_active",
    "systemd_runs",
    "user_exists",
]

_LARGEST_FILE = 2**20
SYSTEMD = "/run/systemd/system"
"""The directory that is there where systemd runs."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for, whatever the caller's PATH says."""
# What is asked must not depend on who asks: no locale, no PHP_INI_SCAN_DIR, no LD_PRELOAD.
_ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C"}


@dataclass(frozen=True)
class FileState:
    """A regular file as it is now.

    Parameters
    ----------
    path : str
        Its real path.
    data : bytes
    mode, owner, group : str
        Permissions in octal (``0640``); names, or numbers where they have no name.
    links : int
        Names it has (hard links).
    """

    path: str
    data: bytes = field(repr=False)
    mode: str
    owner: str
    group: str
    links: int = 1

    @property
    def sha256(self) -> str:
        """Of its content, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def read_file(path: str) -> FileState:
    """Read a file with its mode and owner; a symbolic link on the way is an error.

    Raises
    ------
    UnreadableFile
        If it cannot be read, is no regular file or is larger than 1 MiB.
    """
    label = shown(path, longest=200)
    try:
        if os.path.realpath(path) != path:
            message = f"{label}: is reached through a symbolic link"
            raise UnreadableFile(message)
        # O_NONBLOCK: never wait on a pipe somebody put there
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableFile):
            raise
        message = f"{label}: {(isinstance(error, OSError) and error.strerror) or error}"
        raise UnreadableFile(message) from None
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode):
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    else:
        os.close(descriptor)
        data = None
    if data is None or len(data) > _LARGEST_FILE:
        message = f"{label}: {'not a regular file' if data is None else 'larger than 1 MiB'}"
        raise UnreadableFile(message)
    owner, group = str(facts.st_uid), str(facts.st_gid)
    with suppress(KeyError):
        owner = pwd.getpwuid(facts.st_uid).pw_name
    with suppress(KeyError):
        group = grp.getgrgid(facts.st_gid).gr_name
    return FileState(path, data, f"{stat.S_IMODE(facts.st_mode):04o}", owner, group, facts.st_nlink)


def _output(argv: Sequence[str], *, timeout: float = 20.0) -> str | None:
    """Standard output of a command that ended well."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def is_directory(path: str | Path) -> bool:
    """Whether this is a directory that can be seen."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str | Path) -> bool:
    """Whether this is a regular file that can be seen."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def user_exists(name: str) -> bool:
    """Whether this host knows a user of that name, or that number."""
    try:
        pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return False
    return True


def is_trusted(path: str) -> bool:
    """Whether nobody but root and us can change this, or put something else in its place."""
    try:
        place = Path(path).resolve(strict=True)
        for step in (place, *place.parents):
            facts = step.stat()
            sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
            by_group = facts.st_mode & stat.S_IWGRP and facts.st_gid not in (0, os.getegid())
            if facts.st_uid not in (0, os.geteuid()) or (not sticky and (facts.st_mode & stat.S_IWOTH or by_group)):
                return False
    except OSError:
        return False
    return True


def _fpm_output(binary: str, option: str) -> str | None:
    """Run FPM's binary, unless somebody other than root and us could have put it there."""
    if binary.startswith("/") and is_file(binary) and not is_trusted(binary):
        rule = "and what is above it, must belong to root or to you, and not be writable by others"
        raise InvalidInput([Problem("php-fpm binary,", rule, shown(binary, longest=200))])
    return _output([binary, option])


def fpm_version(binary: str) -> str | None:
    """Major and minor release, such as ``8.2``; None if it does not say."""
    found = re.match(r"PHP ([0-9]+\.[0-9]+)\.[^\n]* \(fpm-fcgi\)", _fpm_output(binary, "-v") or "")
    return None if found is None else found[1]


def php_extensions(binary: str) -> frozenset[str] | None:
    """Extensions FPM's PHP loads, in lower case; None if it does not say."""
    text = _fpm_output(binary, "-m")
    return None if text is None else frozenset(line.lower() for line in text.split("\n") if line and line[0] != "[")


def fpm_information(binary: str) -> dict[str, str]:
    """INI settings as ``php-fpm -i`` shows them (the local values); empty if it does not say."""
    lines = (_fpm_output(binary, "-i") or "").split("\n")
    rows = (line.split(" => ") for line in lines)
    return {row[0]: row[1] for row in rows if len(row) == 3}


def systemd_runs() -> bool:
    """Whether systemd is this machine's init."""
    return Path(SYSTEMD).is_dir()


def pid_of(pid_file: str, processes: Sequence[str]) -> int | None:
    """Main process a pid file names, if it lives and has one of these names (a pid may have been given to another)."""
    try:
        pid = int(read_file(os.path.realpath(pid_file)).data[:32].decode("ascii").strip())
    except (OSError, ValueError):
        return None
    return pid if _is_main(pid, processes) else None


def _is_main(pid: int, processes: Sequence[str]) -> bool:
    facts = _process(pid)
    # A zombie is dead, and nobody has buried it: process 1 of a container may not. A worker has its master's name.
    if facts.get("Name") not in processes or facts.get("State", "Z")[0] in "ZX":
        return False
    return _process(int(facts.get("PPid", "0"))).get("Name") != facts["Name"]


def _process(pid: int) -> dict[str, str]:
    try:
        with Path(f"/proc/{pid}/status").open(encoding="utf-8", errors="replace") as file:
            return dict(line.split(":\t", 1) for line in file.read(4096).split("\n") if ":\t" in line)
    except OSError:
        return {}


def service_active(service: str, pid_file: str | None, processes: Sequence[str]) -> bool:
    """Whether a service runs: systemd says so where it runs, else its pid file."""
    if systemd_runs():
        if _output(["systemctl", "is-active", "--quiet", "--", service]) is None:
            return False
        pid = (_output(["systemctl", "show", "--property", "MainPID", "--value", "--", service]) or "").strip()
        return pid.isdecimal() and _is_main(int(pid), processes)
    return pid_file is not None and pid_of(pid_file, processes) is not None


def http_status(url: str, *, timeout: float = 10.0) -> int | None:
    """Status of one GET, redirects not followed, within `timeout` [s] in all; None if there is no answer."""
    answer: list[int] = []
    # A server that sends a byte now and then keeps every time limit of a socket.
    asking = threading.Thread(target=lambda: answer.extend(_ask(url, timeout)), daemon=True)
    asking.start()
    asking.join(timeout)
    return answer[0] if answer else None


def _ask(url: str, timeout: float) -> Iterator[int]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    with suppress(OSError, http.client.HTTPException, ValueError):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "capacity"})
        yield connection.getresponse().status
    connection.close()
