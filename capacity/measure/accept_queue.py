"""How many requests wait in the kernel's accept queue of a pool's socket, and how many may.

PHP-FPM has no queue of its own and reports none for a unix socket, so this is the only place where waiting requests
can be seen. ``ss`` (iproute2) tells both numbers. Without it, as in most containers, ``/proc/net`` still tells how many
wait, not how many may: a connection nobody has accepted yet stands in ``/proc/net/unix`` with the socket's path, as
connecting and with inode 0; and ``rx_queue`` of a listening socket in ``/proc/net/tcp`` is the length of its queue.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capacity.errors import InvalidInput
from capacity.measure.fastcgi import Address, parse_address
from capacity.units import shown

__all__ = ["AcceptQueue", "accept_queue", "look_at_queue"]

_TIMEOUT = 5.0
# u_str LISTEN 3 5 /run/php/a b.sock 289094 * 0 <-> ino:2238333 dev:0/65024 peers: ...
_UNIX = re.compile(r"^u_\w+ +LISTEN +(\d+) +(\d+) +(/.*) \d+ +\* \d+ +<->(?: ino:(\d+))?", re.MULTILINE)
# LISTEN 0 128 127.0.0.1%lo:9000 0.0.0.0:*
_TCP = re.compile(r"^LISTEN +(\d+) +(\d+) +(\S+?)(?:%\w+)?:(\d+) ", re.MULTILINE)
_PROC_UNIX = re.compile(r"^\w+: \w+ \w+ (\w+) \w+ (\w+) +(\d+) (/.*)$", re.MULTILINE)
_PROC_TCP = re.compile(r"^ *\d+: (\w+):(\w{4}) \w+:0000 0A \w+:(\w+) ", re.MULTILINE)
_ANY, _LOCALHOST = {"*", "0.0.0.0", "[::]"}, {"127.0.0.1", "[::1]"}


@dataclass(frozen=True)
class AcceptQueue:
    """The accept queue of one listening socket at one moment.

    Parameters
    ----------
    waiting : int
        Connections no worker has taken yet [-].
    limit : int or None
        ``min(listen.backlog, net.core.somaxconn)`` as the kernel has it; a unix socket admits one more. None where
        only /proc could be asked.

    Examples
    --------
    >>> AcceptQueue(3, 511).waiting
    3
    """

    waiting: int
    limit: int | None


def accept_queue(path: str) -> AcceptQueue | None:
    """Look at the queue of a listening socket, or None if it cannot be seen; `look_at_queue` says why.

    Parameters
    ----------
    path : str
        As FPM's ``listen``: the path of a unix socket, ``host:port`` or a port.

    Returns
    -------
    AcceptQueue or None

    Examples
    --------
    >>> accept_queue("/no/such.sock") is None
    True
    """
    queue = look_at_queue(path)
    return queue if isinstance(queue, AcceptQueue) else None


def look_at_queue(path: str, *, root: Path = Path("/")) -> AcceptQueue | str:
    """Look at the queue of a listening socket, or say why it cannot be seen.

    Parameters
    ----------
    path : str
        As FPM's ``listen``.
    root : Path
        Where ``proc`` is looked for if there is no ``ss``.

    Returns
    -------
    AcceptQueue or str
    """
    try:
        address = parse_address(path)
    except InvalidInput as error:
        return str(error)
    unix = bool(address.path)
    output = _ss("-xlHne" if unix else "-ltHn")
    if output is not None:
        queues = list(_unix(output, address) if unix else _tcp(output, address))
    else:
        queues = list(_proc_unix(root, address) if unix else _proc_tcp(root, address))
    where = "ss" if output is not None else "/proc/net (ss of iproute2 is missing or does not answer)"
    if not queues:
        return f"{shown(path)} is not among the listening sockets {where} shows here (another network namespace?)"
    if len(queues) > 1:
        return f"{len(queues)} sockets listen on {shown(path)}, and {where} does not tell which is the pool's"
    return queues[0]


def _ss(options: str) -> str | None:
    """What ``ss`` prints, or None if it is missing, fails or hangs."""
    found = shutil.which("ss", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin"]))
    if found is None:
        return None
    try:
        run = subprocess.run([found, options], capture_output=True, timeout=_TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(run.stdout)


def _unix(output: str, address: Address) -> Iterator[AcceptQueue]:
    matching = [line for line in _UNIX.findall(output) if line[2] == address.path]
    if len(matching) > 1:
        # A socket that was unlinked while somebody still listens on it keeps its path, but not the file.
        try:
            inode = str(Path(address.path).stat().st_ino)
        except OSError:
            inode = ""
        matching = [line for line in matching if line[3] == inode] or matching
    return (AcceptQueue(int(waiting), int(limit)) for waiting, limit, _, _ in matching)


def _tcp(output: str, address: Address) -> Iterator[AcceptQueue]:
    lines = [line for line in _TCP.findall(output) if int(line[3]) == address.port]
    hosts = (
        _LOCALHOST if address.host == "localhost" else {f"[{address.host}]" if ":" in address.host else address.host}
    )
    best = [line for line in lines if line[2] in hosts] or [line for line in lines if line[2] in _ANY]
    return (AcceptQueue(int(waiting), int(limit)) for waiting, limit, _, _ in best)


def _proc_unix(root: Path, address: Address) -> Iterator[AcceptQueue]:
    lines = [line for line in _PROC_UNIX.findall(_text(root / "proc/net/unix")) if line[3] == address.path]
    listening = sum(flags == "00010000" for flags, *_ in lines)
    waiting = sum(inode == "0" and state == "02" for _, state, inode, _ in lines)
    return (AcceptQueue(waiting, None) for _ in range(listening))


def _proc_tcp(root: Path, address: Address) -> Iterator[AcceptQueue]:
    text = _text(root / "proc/net/tcp") + _text(root / "proc/net/tcp6")
    queues = [int(waiting, 16) for _, port, waiting in _PROC_TCP.findall(text) if int(port, 16) == address.port]
    return (AcceptQueue(waiting, None) for waiting in queues)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
