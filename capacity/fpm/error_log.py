"""FPM's error log: what the master said about its pools, counted by kind, pool and time.

One expression takes a line of FPM's or a whole run of other lines, so that noise costs no Python. A line is FPM's if
it begins, after the words of docker, compose or journald, with FPM's stamp and level, with syslog's stamp and a level
in brackets, or with a level alone. Only the text right after that makes an event: what a worker said is quoted later
in the line. FPM's stamps are local times of its host without a zone, so times here are naive.

Crash loop: five crashes of one pool with at most 60 s between the first and the fifth. A crash is an exit with a code
other than 0 or on one of six signals; not SIGTERM, which FPM sends to a request out of time. A healthy pool has none,
and five in a minute are no accident of one request.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from signal import Signals
from typing import Any, Final, Literal, NamedTuple

from capacity.fpm.log_time import Memo, clock
from capacity.units import format_seconds, shown

__all__ = ["CrashLoop", "ErrorLog", "Events", "Kind", "Range", "read_error_log"]

Kind = Literal[
    "max_children", "busy", "process_max", "slow", "terminated", "killed", "failed", "recycled", "spawned", "tick",
    "output", "started", "ready", "reloaded", "stopped", "emergency_restart", "fork_failed", "listen",
]  # fmt: skip
"""killed, failed, recycled: exited on a signal, with a code, with code 0; tick: the debug line of each second."""

LONGEST_LINE: Final = 1 << 16  # bytes; a longer one is noise, FPM itself writes at most 2048
_BLOCK = 1 << 17
_LEVEL = rb"(?:ALERT|ERROR|WARNING|NOTICE|DEBUG)"
_CLOCK = rb"[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_STAMP = rb"[0-9]{2}-[A-Z][a-z]{2}-[0-9]{4} " + _CLOCK
_SYSLOG = rb"(?:[A-Z][a-z]{2} [ 0-9][0-9] |[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])" + _CLOCK
# Words without a quote up to the first bracket that holds this.
_BRACKET = rb'[^\["\n]{0,200}+(?:\[(?!%s)[^\["\n]{0,200}+){0,4}+\['
_HEAD = (
    rb"(?=[^\n]{0,%d}+\n)(?:" % LONGEST_LINE
    + (_BRACKET % _STAMP + rb"(?P<stamp>" + _STAMP + rb")(?:\.[0-9]{1,6})?\] (?P<level>" + _LEVEL + rb"): ")
    + (rb"|(?:<[0-9]{1,3}>(?:1 )?)?(?P<syslog>" + _SYSLOG + rb")" + _BRACKET % (_LEVEL + rb"\]"))
    + (rb"(?P<severity>" + _LEVEL + rb")\] +|(?:[\w.-]{1,40}+ *+\| )?+(?P<alone>" + _LEVEL + rb"): )")
)
_POOL = rb"(?:pid [0-9]+, )?(?:\w+\(\), line [0-9]+: )?(?:\[pool (?P<pool>[^\]\n]{1,256})\] )?(?:child [0-9]+,? )?+"
# <name#> is a whole number, <name@> a time [s].
_REQUEST, _LIVED = r"script '[^\n]*\) ", " after <lifetime@> seconds"
_END = r" \(<seconds@> sec\)[, a-z.]*\r?(?=\n)"  # script and query may quote anything: the last in the line is FPM's
_PATTERNS: Final[Mapping[str, str]] = {
    "max_children": r"server reached (?:pm\.)?max_children setting \(<limit#>\)",
    # "spawning 32 children" is the rate, of which FPM forks no more than it is short of
    "busy": r"seems busy \([^\n)]*\), spawning <rate#> children, there are <idle#> idle, and <total#> total children",
    "process_max": r"The maximum number of processes has been reached",
    "slow": rf"{_REQUEST}executing too slow{_END}",
    "terminated": rf"{_REQUEST}execution timed out{_END}",
    "killed": rf"exited on signal <signal#>[^\n]{{0,40}}?{_LIVED}",
    "recycled": rf"exited with code 0{_LIVED}",
    "failed": rf"exited with code [0-9]+{_LIVED}",
    "spawned": r"started",
    "tick": r"currently <active#> active children, <spare#> spare children"
    r"(?:, <running#> running children)?(?:\. Spawning rate <rate#>)?",
    "output": r"said into std(?:out|err): |PHP message: ",
    "started": r"fpm is running, pid ",
    "ready": r"ready to handle connections",
    "reloaded": r"reloading: execvp\(",
    "stopped": r"exiting, bye-bye!",
    "emergency_restart": r"failed processes threshold \(",
    "fork_failed": r"fork\(\) failed",
    "listen": r"unable to bind listening socket|failed to listen to address|failed to create new listening socket"
    r"|An(?: a)?other FPM instance seems to already listen|listen\.backlog\([-0-9]+\) was too low",
}
# The number that tells how bad it was: 0 where the lowest is the worst, 1 where the highest is.
_WORST = {"limit": 1, "seconds": 1, "active": 1, "idle": 0, "lifetime": 0}
_ALTERNATIVES = "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items())
_ALTERNATIVES = re.sub(r"<\w+#>", "([0-9]{1,9})", _ALTERNATIVES)
_ALTERNATIVES = re.sub(r"<\w+@>", r"([0-9]{1,9}(?:\\.[0-9]{1,9})?)", _ALTERNATIVES)
_LINE = re.compile(
    _HEAD + _POOL + rb"(?:" + _ALTERNATIVES.encode() + rb")?[^\n]*+\n"
    rb"|(?:(?!" + re.sub(rb"\?P<\w+>", rb"?:", _HEAD) + rb")[^\n]*+\n)++"
)
_NUMBERS = {
    kind: tuple((name, _LINE.groupindex[kind] + at) for at, name in enumerate(re.findall(r"<(\w+)[#@]>", pattern), 1))
    for kind, pattern in _PATTERNS.items()
}
_SIGNALS = {signal.value: signal.name for signal in Signals}
_CRASHES = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGKILL"}
_LOOP, _LOOP_SECONDS = 5, 60.0
_MOST_POOLS, _MOST_HOURS, _MOST_LOOPS = 2000, 100_000, 100  # what a hostile log may make us remember
_OTHER_POOLS = b"(other pools)"
_NO_YEAR = 1972  # long before FPM, and a leap year, so that 29 February exists
_CLF_CLOCK, _ISO_CLOCK = clock("clf"), clock("iso")


class Range(NamedTuple):
    """Lowest, highest and sum of a number over some events."""

    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    samples: int = 0

    @property
    def mean(self) -> float:
        """Arithmetic mean."""
        return self.total / self.samples

    def plus(self, more: Range) -> Range:
        """The two taken together."""
        return Range(min(self[0], more[0]), max(self[1], more[1]), self[2] + more[2], self[3] + more[3])


@dataclass(frozen=True)
class Events:
    """Events of one kind.

    Parameters
    ----------
    count : int
    first, last : datetime or None
        Earliest and latest, local time of FPM's host; None if no line had a time.
    numbers : mapping of str to Range
        ``limit``, ``idle``, ``total``, ``active``, ``spare``, ``running`` [-]; ``seconds``, ``lifetime`` [s].
    worst : float or None
        The largest limit, fewest idle workers, longest time, shortest lifetime or most active workers.
    """

    count: int
    first: datetime | None = None
    last: datetime | None = None
    numbers: Mapping[str, Range] = field(default_factory=dict)
    worst: float | None = None


@dataclass(frozen=True)
class CrashLoop:
    """Many crashes of one pool in a short time."""

    pool: str
    first: datetime
    last: datetime
    crashes: int


@dataclass(frozen=True)
class ErrorLog:
    """What an error log holds.

    Parameters
    ----------
    lines, noise : int
        All lines, and those that are not FPM's.
    events : mapping of (Kind, str or None) to Events
        By kind and pool as written; "" where the line names none, None for all together.
    levels : mapping of str to int
        FPM's lines that are none of these events.
    signals : mapping of (str, str) to int
        Children killed, by pool and signal.
    crash_loops : tuple of CrashLoop
    per_hour : mapping of datetime to int
        Warnings of max_children by the hour they came in; only hours that had some.
    first, last : datetime or None
        Of all lines with a time.
    notes : tuple of str
    """

    lines: int
    noise: int
    events: Mapping[tuple[Kind, str | None], Events]
    levels: Mapping[str, int]
    signals: Mapping[tuple[str, str], int]
    crash_loops: tuple[CrashLoop, ...]
    per_hour: Mapping[datetime, int]
    first: datetime | None
    last: datetime | None
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind, pool: str | None = None) -> Events:
        """Events of a kind, of one pool or of all together; with a count of 0 if there were none."""
        return self.events.get((kind, pool), Events(0))

    def findings(self) -> tuple[str, ...]:
        """Say what matters for capacity: a sentence for each kind of event and pool."""
        said = [
            _sentence(self, *key) for kind in _MEANS for key in self.events if key[0] == kind and key[1] is not None
        ]
        for loop in self.crash_loops:
            said.append(f"pool {shown(loop.pool)} was in a crash loop: {loop.crashes} crashes{_span(loop)}")
        if not self.of("max_children").count:
            said.append(
                "no pool is seen to reach max_children; that proves nothing of a static pool, which never logs it"
            )
        return (*said, *self.notes)


def read_error_log(chunks: Iterable[bytes]) -> ErrorLog:
    r"""Read FPM's error log, plain or as docker, compose, syslog and journald give it, in bounded memory.

    Parameters
    ----------
    chunks : iterable of bytes
        The log in pieces of any size, cut anywhere.

    Returns
    -------
    ErrorLog

    Examples
    --------
    >>> text = b"[26-Jul-2012 09:50:00] WARNING: [pool www] server reached pm.max_children setting (50), consider"
    >>> log = read_error_log([text, b" raising it\nsegfault\n"])
    >>> log.of("max_children").count, log.of("max_children", "www").worst, log.noise
    (1, 50.0, 1)
    >>> log.findings()[0]
    "pool 'www' had all 50 workers max_children allows once, at 2012-07-26 09:50:00: it could not grow"
    """
    reader = _Reader()
    for block in _blocks(chunks):
        reader.read(block)
    return reader.result()


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = b""  # the beginning of a line; of one that is too long, one byte too many
    for piece in (chunk[at : at + _BLOCK] for chunk in chunks for at in range(0, len(chunk), _BLOCK)):
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            yield held + whole + newline
            held = b""
        held = (held + rest)[: LONGEST_LINE + 1]
    if held:
        yield held + b"\n"


class _Reader:
    def __init__(self) -> None:
        self.lines = self.noise = 0
        # by pool and kind, or level where a line is none of the events
        self.counts: Counter[tuple[str, bytes]] = Counter()
        self.numbers: dict[tuple[str, bytes], dict[str, Range]] = defaultdict(dict)
        self.signals: Counter[tuple[str, str]] = Counter()
        self.hours: Counter[float] = Counter()
        self.crashes: dict[bytes, _Crashes] = defaultdict(_Crashes)
        self.days = Memo(_midnight)
        self.clocks = Memo(lambda clock: int(clock[:2]) * 3600.0 + int(clock[3:5]) * 60 + int(clock[6:]))

    def read(self, block: bytes) -> None:
        alike: dict[tuple[Any, ...], list[re.Match[bytes]]] = defaultdict(list)
        for line in _LINE.finditer(block):
            if line.lastgroup:
                alike[line.lastgroup, *line.group("pool", "level", "severity", "alone")].append(line)
        crashes: list[tuple[bytes, float]] = []
        for (kind, pool, level, severity, alone), found in alike.items():
            stamps = [] if alone else [line["stamp" if level else "syslog"] for line in found]
            times = [self.days[stamp[:-9]] + self.clocks[stamp[-8:]] for stamp in stamps]
            severity = severity or level or alone
            if kind not in _PATTERNS or (severity == b"DEBUG" and kind not in {"tick", "spawned"}):
                kind = severity.decode()  # exits at DEBUG were wanted: a reload, a stop, too many spares
            pool = self._count(kind, pool or b"", found, [time for time in times if not math.isnan(time)])
            if kind in {"killed", "failed"}:
                fatal = [kind == "failed" or _signal(line) in _CRASHES for line in found]
                crashes += [(pool, time) for time in itertools.compress(times, fatal) if not math.isnan(time)]
        for pool, time in sorted(crashes):
            self.crashes[pool].add(time)
        self.lines += block.count(b"\n")
        self.noise += block.count(b"\n") - sum(map(len, alike.values()))

    def _count(self, kind: str, pool: bytes, found: list[re.Match[bytes]], times: list[float]) -> bytes:
        key = kind, pool if (kind, pool) in self.counts or len(self.counts) < _MOST_POOLS else _OTHER_POOLS
        self.counts[key] += len(found)
        numbers = {name: [float(line[at]) for line in found if line[at]] for name, at in _NUMBERS.get(kind, ())}
        for name, values in (numbers | {"time": times}).items():
            if values:
                more = Range(min(values), max(values), sum(values), len(values))
                self.numbers[key][name] = self.numbers[key].get(name, Range()).plus(more)
        if kind == "killed":
            self.signals.update((_text(key[1]), _signal(line)) for line in found)
        if kind == "max_children" and len(self.hours) < _MOST_HOURS:
            self.hours.update(time // 3600 for time in times)
        return key[1]

    def result(self) -> ErrorLog:
        events: dict[tuple[Any, str | None], Events] = {}
        for kind in dict.fromkeys(kind for kind, _ in self.counts):
            keys = [key for key in self.counts if key[0] == kind]
            parts = {_text(key[1]): [key] for key in keys} | {None: keys}
            events |= {(kind, pool): self._events(part) for pool, part in parts.items()}
        everything = self._events(list(self.counts))
        loops = [
            CrashLoop(_text(pool), _when(first), _when(last), int(until - before))
            for pool, crashes in self.crashes.items()
            for first, last, before, until in crashes.loops
        ]
        notes = {
            f"syslog writes no year: {_NO_YEAR} stands for it": getattr(everything.first, "year", 0) == _NO_YEAR,
            "so many pools are named that some are counted together": len(self.counts) >= _MOST_POOLS,
            f"per_hour ends after {_MOST_HOURS} hours": len(self.hours) >= _MOST_HOURS,
        }
        return ErrorLog(
            self.lines,
            self.noise,
            {key: found for key, found in events.items() if key[0] in _PATTERNS},
            {kind: found.count for (kind, pool), found in events.items() if kind not in _PATTERNS and pool is None},
            dict(self.signals),
            tuple(loops),
            {_when(hour * 3600): count for hour, count in sorted(self.hours.items())},
            everything.first,
            everything.last,
            tuple(note for note, true in notes.items() if true),
        )

    def _events(self, keys: list[tuple[str, bytes]]) -> Events:
        ranges: dict[str, Range] = {}
        for key in keys:
            for name, more in self.numbers[key].items():
                ranges[name] = ranges.get(name, Range()).plus(more)
        time = ranges.pop("time", None)
        worst = next((ranges[name][which] for name, which in _WORST.items() if name in ranges), None)
        ranges.pop("signal", None)
        first, last = (_when(time.low), _when(time.high)) if time else (None, None)
        return Events(sum(self.counts[key] for key in keys), first, last, ranges, worst)


class _Crashes:
    def __init__(self) -> None:
        self._count = 0
        self._last: deque[float] = deque(maxlen=_LOOP)
        self.loops: list[list[float]] = []  # first, last, and how many crashes there were before and until then

    def add(self, time: float) -> None:
        if self._last and time < self._last[-1]:  # the clock went back, or an older file follows
            self._last.clear()
        self._count += 1
        self._last.append(time)
        if len(self._last) < _LOOP or time - self._last[0] > _LOOP_SECONDS:
            return
        if self.loops and self.loops[-1][0] <= self._last[0] <= self.loops[-1][1]:
            self.loops[-1][1::2] = time, self._count
        elif len(self.loops) < _MOST_LOOPS:
            self.loops.append([self._last[0], time, self._count - _LOOP, self._count])


def _text(pool: bytes) -> str:
    return pool.decode("utf-8", "backslashreplace")


def _signal(line: re.Match[bytes]) -> str:
    return _SIGNALS.get(int(line[_NUMBERS["killed"][0][1]]), "an unknown signal")


def _midnight(day: bytes) -> float:
    """Seconds since 1970 as if the host's clock showed UTC; NaN for a day that does not exist."""
    if day[4:5] == b"-":
        return _ISO_CLOCK[day]
    if day[2:3] == b"-":
        return _CLF_CLOCK[day.replace(b"-", b"/") + b":00:00:00 +0000"]
    return _CLF_CLOCK[b"%02d/%s/%d:00:00:00 +0000" % (int(day[4:6]), day[:3], _NO_YEAR)]


def _when(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None)


_MEANS: Final[Mapping[str, str]] = {
    "max_children": "had all {worst:.0f} workers max_children allows {often}: it could not grow",
    "busy": "was short of spare workers {often}, with {worst:.0f} idle at the least and up to {numbers[total].high:.0f}"
    " running: a dynamic pool grows by at most min_spare_servers a second",
    "process_max": "met process.max {often}: no pool gets another worker then",
    "slow": "had requests over request_slowlog_timeout {often}; the longest had held its worker for {longest} by then",
    "terminated": "ended requests by request_terminate_timeout {often}, the longest after {longest}",
    "killed": "lost workers to signals {often} ({signals})",
    "failed": "lost workers that exited with an error {often}",
    "emergency_restart": "restarted itself because of crashes {often}",
    "fork_failed": "could not fork {often}: the host is out of memory or processes",
    "listen": "had trouble with its socket or backlog {often}",
    "started": "was started or reloaded {often}: counters of the status pages begin at 0 each time",
    "tick": "was looked at by FPM {often}: {numbers[active].mean:.3g} active workers in the mean, {worst:.0f} at most",
}


def _sentence(log: ErrorLog, kind: Kind, pool: str | None) -> str:
    """What the events of one kind say of a pool, or of FPM where they name none."""
    events = log.of(kind, pool)
    killed = ", ".join(f"{count} {name}" for (one, name), count in log.signals.items() if one == pool)
    if "SIGKILL" in killed:
        killed += "; SIGKILL is what the kernel sends when memory runs out"
    often = "once" if events.count == 1 else f"{events.count} times"
    facts = {"often": often + _span(events), "worst": events.worst, "numbers": events.numbers, "signals": killed}
    means = _MEANS[kind].format(**facts, longest=format_seconds(events.worst or 0))
    return f"pool {shown(pool)} {means}" if pool else f"FPM {means}"


def _span(events: Events | CrashLoop) -> str:
    if events.first == events.last:
        return "" if events.first is None else f", at {events.first}"
    return f" from {events.first} to {events.last}"
