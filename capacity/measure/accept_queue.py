"""The accept queue of a listening socket: requests that wait for a worker, as the kernel counts them.

FPM's own ``listen queue`` is always 0 for a unix socket; ``ss`` asks the kernel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from capacity.errors import InvalidInput
from capacity.measure.fastcgi import parse_address

__all__ = ["AcceptQueue", "accept_queue"]

_TIMEOUT = 5.0


@dataclass(frozen=True)
class AcceptQueue:
    """One look at a queue.

    Parameters
    ----------
    waiting : int
        Connections no worker has taken yet.
    limit : int
        The kernel admits one more than this.
    """

    waiting: int
    limit: int


def accept_queue(listen: str) -> AcceptQueue | None:
    """Look at the queue of a socket.

    Parameters
    ----------
    listen : str
        As FPM's directive has it: a path, a port or an address and a port.

    Returns
    -------
    AcceptQueue or None
        None where nobody listens there, or ``ss`` (of iproute2) is not installed or does not answer.

    Examples
    --------
    >>> accept_queue("/no/such.sock") is None
    True
    """
    program = shutil.which("ss", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
    try:
        address = parse_address(listen)
    except InvalidInput:
        return None
    if program is None:
        return None
    command = [program, "-xlHn"] if address.path else [program, "-tlHn"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=True, text=True, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return None
    return found_in(answer.stdout, address.path, address.port)


def found_in(text: str, path: str, port: int) -> AcceptQueue | None:
    """Find a socket in what ``ss -lHn`` prints.

    Parameters
    ----------
    text : str
    path : str
        Of a unix socket, or empty.
    port : int

    Returns
    -------
    AcceptQueue or None

    Examples
    --------
    >>> found_in("u_str LISTEN 3 4096 /run/php/a b.sock 31 * 0", "/run/php/a b.sock", 0)
    AcceptQueue(waiting=3, limit=4096)
    >>> found_in("LISTEN 0 511 127.0.0.1:9000 0.0.0.0:*", "", 9000)
    AcceptQueue(waiting=0, limit=511)
    """
    for line in text.splitlines():
        words = line.split()
        at = words.index("LISTEN") if "LISTEN" in words else len(words)
        if len(words) < at + 4 or not (words[at + 1] + words[at + 2]).isdigit():
            continue
        # a path may have spaces; inode, peer and its inode are the last three words
        name = line.split(None, at + 3)[-1].rstrip()
        local = name.rsplit(None, 3)[0] if path else words[at + 3]
        if (local == path) if path else local.rpartition(":")[2] == str(port):
            return AcceptQueue(int(words[at + 1]), int(words[at + 2]))
    return None
