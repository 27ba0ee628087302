"""What a grid can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from capacity.decision import LIMITS
from capacity.errors import InvalidInput, Problem
from capacity.policies.process_manager import MANAGERS
from capacity.policies.verdict import VERDICTS
from capacity.problems import did_you_mean, field_label

__all__ = ["BANDS", "PREDICTED", "QUANTITIES", "Quantity", "read_quantities"]


@dataclass(frozen=True)
class Quantity:
    """What the cells of one variable hold: a number with its unit, or an index into words."""

    unit: str
    text: str
    words: tuple[str, ...] = ()

    @property
    def dtype(self) -> type[np.generic]:
        """Of its cells."""
        return np.int8 if self.words else np.float64

    @property
    def attributes(self) -> dict[str, Any]:
        """What says so in a dataset, by the conventions of netCDF."""
        if not self.words:
            return {"long_name": self.text, "units": self.unit}
        values = np.arange(len(self.words), dtype=np.int8)
        return {"long_name": self.text, "flag_values": values, "flag_meanings": " ".join(self.words)}


PREDICTED: Final = {
    "arrival_rate": Quantity("1/s", "requests offered"),
    "throughput": Quantity("1/s", "requests completed"),
    "utilization": Quantity("1", "busy share of a worker"),
    "cpu_utilization": Quantity("1", "busy share of a core; NaN: cpu_time unknown"),
    "database_utilization": Quantity("1", "busy share of the database connections; NaN: unknown"),
    "wait_probability": Quantity("1", "an arrival finds every worker busy"),
    "waiting_time": Quantity("s", "mean waiting time; inf: it grows without bound"),
    "response_time": Quantity("s", "mean response time; inf: it grows without bound"),
    "response_time_p95": Quantity("s", "response time that 95 of 100 requests keep; inf: it grows without bound"),
    "slowdown": Quantity("1", "mean response time over service time at light load, minus 1"),
    "apdex": Quantity("1", "share of users satisfied, half of those who tolerate it; NaN: no apdex_time"),
    "refused": Quantity("1", "share that finds the accept queue full (502), in the long run; NaN: finite model"),
    "timed_out": Quantity("1", "share that the web server gives up (504), in the long run; NaN: finite model"),
    "wasted": Quantity("1", "share of the workers' time after the web server has given up; NaN: finite model"),
    "objective_met": Quantity(
        "", "what is asked of response times, whatever max_utilization; -1: nothing is", ("missed", "met")
    ),
    "verdict": Quantity("", "how the pool takes it", VERDICTS),
}
"""What users do to the pool."""

BANDS: Final = {f"users_{verdict}": Quantity("1", f"most users with verdict {verdict}") for verdict in VERDICTS[:-1]}
"""How many users the pool takes; NaN: none get this verdict."""

_DECIDED: Final = {
    "max_children": Quantity("1", "workers recommended"),
    "start_servers": Quantity("1", "workers started; NaN: not dynamic"),
    "min_spare_servers": Quantity("1", "least idle workers; NaN: not dynamic"),
    "max_spare_servers": Quantity("1", "most idle workers; NaN: not dynamic"),
    "listen_backlog": Quantity("1", "waiting places recommended"),
    "needed": Quantity("1", "least workers that meet the objective; inf: no number does"),
    "wanted": Quantity("1", "the same with headroom; inf: no number does"),
    "shortfall": Quantity("1", "needed workers that the limits do not allow"),
    "worst_case_memory": Quantity("byte", "every recommended worker at its peak, and shared memory once"),
    "feasible": Quantity("", "whether the objective can be met within the limits", ("no", "yes")),
    "binding": Quantity("", "the limit that decides max_children", LIMITS),
    "more_workers_help": Quantity("", "whether more workers would serve more users; -1: unknown", ("no", "yes")),
    "pm": Quantity("", "process manager recommended", MANAGERS),
} | {f"limit.{name}": Quantity("1", f"workers that {name} allows; inf: any number") for name in LIMITS}

QUANTITIES: Final = PREDICTED | BANDS | _DECIDED
"""Every quantity, by name."""


def read_quantities(quantity: str | Sequence[str]) -> tuple[str, ...]:
    """Names of quantities from one name or several.

    Raises
    ------
    InvalidInput
        One is not known, or none is given.
    """
    names = (quantity,) if isinstance(quantity, str) else tuple(quantity) if isinstance(quantity, Sequence) else ()
    if not names:
        raise InvalidInput([Problem("quantity", "must be a name, or several", hint="such as response_time_p95")])
    problems = [
        Problem(
            f"quantity {field_label(name)}",
            "is not known",
            hint=f"{did_you_mean(name, QUANTITIES) or _SOME}; all of them: capacity sweep --help",
        )
        for name in names
        if not isinstance(name, str) or name not in QUANTITIES
    ]
    if problems:
        raise InvalidInput(problems)
    return tuple(dict.fromkeys(names))


_SOME: Final = f"such as {', '.join(list(PREDICTED)[:9])}"
