"""The stages of ``capacity measure``: watch the pool, look at its memory, read its logs.

An interrupt (Ctrl-C, SIGTERM) ends the stage it meets and keeps what was gathered; one that comes between two stages
is ignored, since what follows takes a moment and then everything is written.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Self

from capacity.cli.output import progress
from capacity.errors import InvalidInput, MeasurementError, UnreadableFile

if TYPE_CHECKING:
    from capacity.fpm.log_line import LineFormat
    from capacity.fpm.series import SeriesLoad
    from capacity.measure.listing import RunningPool
    from capacity.measure.logs import LogReading
    from capacity.measure.survey import Evidence

__all__ = ["Stages", "gather"]

_MOST_FINDINGS = 12
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stages:
    """Lets an interrupt end a stage, and nothing else, while it is entered.

    Parameters
    ----------
    notes : list of str
        Where an interrupt is told.
    """

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self._open = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._interrupt) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Run one stage; a note says if it was interrupted."""
        try:
            self._open = True
            yield
        except KeyboardInterrupt:
            self.notes.append(f"{what} was interrupted; what was gathered until then is kept")
        finally:
            self._open = False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._open:
            self._open = False
            raise KeyboardInterrupt


def gather(
    pool: RunningPool | None,
    seconds: float,
    logs: Sequence[str],
    error_log: str | None,
    line_format: LineFormat | None,
    series: SeriesLoad | None,
    stages: Stages,
) -> Evidence:
    """Watch, look at memory, read the logs.

    What was given on the command line is looked at first, so that a wrong path is told before the watching.
    """
    from capacity.measure.logs import look_at
    from capacity.measure.sampling import Watch
    from capacity.measure.survey import Evidence
    from capacity.measure.workers import measure_pool

    for path in (*logs, *([error_log] if error_log is not None else [])):
        look_at(path)
    notes = stages.notes
    notes += [] if pool is None else [*pool.notes, *_lints(pool)]
    reading = _reading(pool, logs, line_format, notes)
    began = time.time()
    sampled = host = None
    if pool is not None:
        if seconds > 0:
            watch = Watch(pool)
            with stages.stage("the watching"), progress(f"watching pool {pool.name}") as told:
                watch.watch(seconds, told=lambda elapsed: told(elapsed, seconds))
            sampled = watch.result()
        try:
            host = measure_pool(pool.name, config_path=pool.config, master_pid=pool.master_pid)
        except MeasurementError as error:
            notes.append(str(error))
        if host is None:
            notes.append("the pool no longer runs: memory and host are unknown")
        else:
            notes += host.notes
    history = window = None
    if reading is not None:
        reading.since = began if sampled is not None else math.inf
        try:
            with stages.stage("the reading of the access log"), progress("reading the access log") as told:
                reading.read(told=told)
        except (InvalidInput, UnreadableFile) as error:
            if pool is None and series is None:
                raise
            notes.append(f"the access log was not read: {error}")
        history, window = reading.result()
        if history is None:
            notes.append("the access log has no line yet")
    _error_log(error_log or (pool.error_log if pool is not None else None), stages)
    workers = pool.max_children if pool is not None else None
    return Evidence(host, sampled, history, window, series, workers=workers)


def _lints(pool: RunningPool) -> list[str]:
    """What FPM accepts in this pool's configuration and that does not do what it seems to."""
    from capacity.fpm.rules import check

    if pool.file is None:
        return []
    found = check(pool.file.pools, pool.file.global_settings, overridden=pool.file.overridden)
    return [f"{f.directive or f.pool}: {f.message}" for f in found if f.severity == "warning" and f.pool == pool.name]


def _reading(
    pool: RunningPool | None, logs: Sequence[str], line_format: LineFormat | None, notes: list[str]
) -> LogReading | None:
    from capacity.fpm.access_format import DEFAULT_FORMAT, access_format
    from capacity.measure.logs import LogReading

    candidates = []
    if pool is not None and (pool.access_log is not None or logs):
        try:
            candidates = [access_format(pool.access_format or DEFAULT_FORMAT)]
        except InvalidInput as error:
            notes.append(str(error))
    paths = list(logs) or ([pool.access_log] if pool is not None and pool.access_log is not None else [])
    if not paths:
        return None
    known = line_format or (candidates[0] if candidates and not logs else None)
    return LogReading(paths, line_format=known, candidates=candidates)


def _error_log(path: str | None, stages: Stages) -> None:
    """Read the error log and say what matters in it."""
    if path is None:
        return
    from capacity.fpm.error_log import read_error_log
    from capacity.measure.logs import chunks_of

    found = None
    try:
        with stages.stage("the reading of the error log"), progress("reading the error log"):
            found = read_error_log(chunk for chunk, _ in chunks_of(path))
    except UnreadableFile as error:
        stages.notes.append(f"the error log was not read: {error}")
    if found is None:
        return
    if not found.levels:
        stages.notes.append(f"no line of the error log is one of FPM's ({found.lines} lines): it tells nothing")
        return
    said = found.findings()
    stages.notes += said[:_MOST_FINDINGS]
    if len(said) > _MOST_FINDINGS:
        stages.notes.append(f"{len(said) - _MOST_FINDINGS} more findings in the error log are left out")
