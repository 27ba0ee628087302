"""Response time over users, at as many points as a picture of it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from capacity.policies.verdict import Edges
from capacity.prediction import predictions_of
from capacity.results import Prediction, Recommendation
from capacity.scenario import Scenario
from capacity.table import table_of

__all__ = ["Curve", "curves"]

_POINTS: Final = 80
_STEEP: Final = 24  # points more where the curve goes up
_BEYOND: Final = 1.25  # how far beyond the last threshold it is drawn: to where 0.85 busy becomes all of the time


@dataclass(frozen=True)
class Curve:
    """A pool's mean and 95 % response times [s] by users, up to ``endless``, where the queue grows without bound."""

    workers: int
    users: tuple[int, ...]
    response_time: tuple[float, ...]
    response_time_p95: tuple[float, ...]
    endless: int | None


def curves(scenario: Scenario, result: Recommendation) -> tuple[Curve, ...]:
    """Curves of the recommended pool and, where it is another, of today's; none without a think time.

    Examples
    --------
    >>> from capacity import recommend
    >>> new, old = curves(Scenario.example(), recommend(Scenario.example()))
    >>> new.workers, new.users[-1], new.endless, old.workers, old.users[-1], old.endless
    (40, 199, 200, 20, 99, 100)
    """
    counts = [p.users for p in (*result.predictions, *result.current_predictions) if p.users is not None]
    if not counts:
        return ()
    counts += [band.users for band in (*result.bands, *result.current_bands) if band.users is not None]
    most = max(counts)
    pools = dict.fromkeys(pool.max_children for pool in (result.pool, result.current) if pool)
    return tuple(_curve(scenario, workers, int(most * _BEYOND)) for workers in pools)


def _curve(scenario: Scenario, workers: int, most: int) -> Curve:
    coarse = _predicted(scenario, workers, np.linspace(1, most, _POINTS))
    stable = [p for p in coarse if p.response_time is not None]
    end = next((p.users for p in coarse if p.response_time is None), None)
    if end is not None:
        # ever closer to where it becomes endless
        start = (stable[-1].users or 0) if stable else 0
        steep = _predicted(scenario, workers, end - (end - start) * np.geomspace(1.0, 1e-3, _STEEP))
        stable += [p for p in steep if p.response_time is not None]
        end = min((p.users for p in steep if p.response_time is None and p.users is not None), default=end)
    points = {p.users: p for p in stable}
    found = [points[users] for users in sorted(points, key=lambda users: users or 0)]
    return Curve(
        workers=workers,
        users=tuple(p.users or 0 for p in found),
        response_time=tuple(p.response_time or 0.0 for p in found),
        response_time_p95=tuple(p.response_time_p95 or 0.0 for p in found),
        endless=end,
    )


def _predicted(scenario: Scenario, workers: int, users: np.ndarray) -> tuple[Prediction, ...]:
    counts = sorted({max(1, int(count)) for count in np.rint(users)})
    return predictions_of(table_of(scenario), np.array([float(workers)]), counts, model="open", edges=Edges())
