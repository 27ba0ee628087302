"""What can be turned in a what-if, and the scenario that a turn makes. No widget here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from capacity.policies.verdict import Edges
from capacity.pool import MOST_PROCESSES, PoolSettings
from capacity.prediction import predictions_of, user_bands
from capacity.recommendation import recommend
from capacity.results import Forecast, Recommendation
from capacity.scenario import Scenario
from capacity.show.words import workers_in_words
from capacity.table import Column, table_of
from capacity.units import format_bytes, format_fraction, format_rate, format_seconds

__all__ = ["Answer", "Knob", "answer_to", "knobs_of", "turned"]

_REACH: Final = 4.0  # times its value that a knob can be turned up to
_STEPS: Final = 200
_MIB: Final = 2**20


@dataclass(frozen=True)
class Knob:
    """One slider: its name, where it stands and how far it goes, in the unit that people read.

    Parameters
    ----------
    name : str
        ``users``, ``arrival_rate``, ``workers``, ``service_time``, ``cpu_time`` or ``memory``.
    label : str
        With the unit.
    value, least, most, step : float
        In that unit.
    scale : float
        Of that unit in SI: 0.001 for milliseconds.
    """

    name: str
    label: str
    value: float
    least: float
    most: float
    step: float
    scale: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether it counts something."""
        return self.name in {"users", "workers"}


def knobs_of(scenario: Scenario) -> tuple[Knob, ...]:
    """Choose the sliders for a scenario: where they start and how far they go.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    tuple of Knob

    Examples
    --------
    >>> [(knob.name, knob.value, knob.most) for knob in knobs_of(Scenario.example())][:3]
    [('users', 150, 600), ('workers', 40, 160), ('service_time', 250.0, 1000.0)]
    """
    result = recommend(scenario)
    work = scenario.workload
    workers = result.pool.max_children
    return (
        _load(scenario, result),
        _counted("workers", "workers", workers, MOST_PROCESSES),
        _measured("service_time", "service time [ms]", work.service_time, 1e-3),
        # 0 stands for what is not known, as in the scenario
        _measured("cpu_time", "of it on the CPU [ms]", work.cpu_time or 0.0, 1e-3, most=work.service_time),
        _measured("memory", "worker memory [MiB]", float(scenario.worker.memory), _MIB),
    )


def _load(scenario: Scenario, result: Recommendation) -> Knob:
    work = scenario.workload
    if work.think_time is None:
        rate = work.arrival_rate or result.pool.max_children / work.hold_time / 2
        return _measured("arrival_rate", "requests a second", rate, 1.0)
    known = [band.users for band in result.bands if band.users is not None]
    return _counted("users", "users", work.users or (known or [1])[-1], 10**9)


def _counted(name: str, label: str, value: int, most: int) -> Knob:
    return Knob(name, label, value, 1, min(max(int(_REACH * value), 10), most), 1)


def _measured(name: str, label: str, value: float, scale: float, *, most: float | None = None) -> Knob:
    top = _REACH * value if most is None else most
    step = float(f"{top / scale / _STEPS:.1g}")
    shown = value / scale
    return Knob(name, label, shown, 0.0 if most is not None else step, top / scale, step, scale)


def turned(scenario: Scenario, values: Mapping[str, float]) -> Scenario:
    """Scenario with some values changed.

    Parameters
    ----------
    scenario : Scenario
    values : mapping of str to float
        By the names of knobs, in SI; ``workers`` is none of the scenario's. A CPU time of 0 is not known, and one
        beyond the service time ends at it.

    Returns
    -------
    Scenario

    Examples
    --------
    >>> turned(Scenario.example(), {"users": 80, "cpu_time": 9.0}).workload
    Workload(service_time=0.25, cpu_time=0.25, users=80, think_time=1.0)
    """
    work, changes = scenario.workload, dict(values)
    if "users" in changes:
        changes |= {"users": int(changes["users"]), "arrival_rate": None}  # type: ignore[dict-item]
    elif "arrival_rate" in changes:
        changes |= {"users": None}  # type: ignore[dict-item]
    service = changes.get("service_time", work.service_time)
    cpu = min(changes.get("cpu_time", work.cpu_time or 0.0), service)
    changes["cpu_time"] = cpu or None  # type: ignore[assignment]
    if work.database_time is not None:
        changes["database_time"] = min(work.database_time, service)
    fields = {name: value for name, value in changes.items() if name in type(work).model_fields}
    memory = max(1, round(changes.get("memory", scenario.worker.memory)))
    return scenario.model_copy(
        update={
            "workload": work.model_copy(update=fields),
            "worker": scenario.worker.model_copy(update={"memory": memory}),
        }
    )


@dataclass(frozen=True)
class Answer:
    """What becomes of a turn: the pool with the chosen workers, and what would be recommended.

    Parameters
    ----------
    scenario : Scenario
    chosen : Forecast
        Of the chosen workers at the chosen load.
    recommended : Recommendation
    """

    scenario: Scenario
    chosen: Forecast
    recommended: Recommendation

    @property
    def lines(self) -> tuple[str, ...]:
        """The answer in words: how it goes, how many users, memory, and what would be recommended."""
        prediction, pool, result = self.chosen.predictions[0], self.chosen.pool, self.recommended
        load = format_rate(prediction.arrival_rate) if prediction.users is None else f"{prediction.users} users"
        p95 = prediction.response_time_p95
        time = "the queue grows without bound" if p95 is None else f"95 of 100 answers within {format_seconds(p95)}"
        busy = f"workers {format_fraction(round(prediction.utilization, 3))} busy"
        if prediction.cpu_utilization is not None:
            busy += f", cores {format_fraction(round(prediction.cpu_utilization, 3))}"
        state = "" if result.feasible else " The objective cannot be met on this host."
        limit = next(limit for limit in result.limits if limit.binding)
        return (
            f"{load} on {workers_in_words(pool.max_children)}: {prediction.verdict}; {busy}; {time}.",
            *([f"These workers take {self._bands()}."] if self.chosen.bands else []),
            self._memory(),
            f"Recommended: {workers_in_words(result.pool.max_children)} ({limit.name} binds: {limit.reason}).{state}",
        )

    def _bands(self) -> str:
        told = (f"{band.users} users ({band.verdict})" for band in self.chosen.bands if band.users is not None)
        return ", ".join(told) or "no user without overload"

    def _memory(self) -> str:
        host, worker = self.scenario.host, self.scenario.worker
        needed, budget = worker.shared_memory + worker.memory * self.chosen.pool.max_children, host.ram - host.reserved
        short = "" if needed <= budget else ": too much, the host would swap or kill workers"
        return f"At their peak they take {format_bytes(needed)} of {format_bytes(budget)}{short}."


def answer_to(scenario: Scenario, values: Mapping[str, float]) -> Answer:
    """Answer a turn of the knobs, in milliseconds.

    Parameters
    ----------
    scenario : Scenario
        With a load among `values` or its own.
    values : mapping of str to float
        By the names of knobs, in SI.

    Returns
    -------
    Answer

    Examples
    --------
    >>> answer = answer_to(Scenario.example(), {"users": 100, "workers": 20})
    >>> answer.chosen.predictions[0], answer.recommended.pool.max_children
    (<Prediction: overloaded at 100 users, 100 % busy, without bound>, 32)
    """
    moved = turned(scenario, values)
    recommended = recommend(moved)
    workers = int(values.get("workers", recommended.pool.max_children))
    table, servers = table_of(moved), _column(workers)
    work, edges = moved.workload, Edges()
    # not `forecast`, which simulates wide spreads for seconds
    rate = None if work.think_time is not None else work.arrival_rate
    users = [] if rate is not None else [work.users or 1]
    chosen = Forecast(
        pool=PoolSettings(pm="static", max_children=workers),
        model="open",
        predictions=predictions_of(table, servers, users, arrival_rate=rate, model="open", edges=edges),
        bands=() if work.think_time is None else user_bands(table, servers, model="open", edges=edges),
        cautions=(),
    ).told_of(moved)
    return Answer(moved, chosen, recommended)


def _column(value: float) -> Column:
    import numpy as np

    return np.array([float(value)])
