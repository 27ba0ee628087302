"""What a load feels like: comfortable, manageable, to be watched or overloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from capacity.errors import InvalidInput, Problem
from capacity.results import Verdict
from capacity.table import ROUNDING, Column
from capacity.units import shown

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


@dataclass(frozen=True)
class Edges:
    """Upper edges of comfortable, manageable and watch; beyond the last a pool is overloaded.

    Parameters
    ----------
    utilization : tuple of three floats
        Of the busiest of workers, cores and database connections [-]. Fitted to the seven observations of the
        case study, which leave room: anything from 0.40 to 0.50, 0.50 to 0.75 and 0.80 to 1 fits them.
    slowdown : tuple of three floats
        Mean response time over service time at light load, minus 1 [-]. A choice: 5 % is not noticed, 25 % is
        felt, and beyond 100 % a request spends more time waiting than being served.
    """

    utilization: tuple[float, float, float] = (0.45, 0.70, 0.85)
    slowdown: tuple[float, float, float] = (0.05, 0.25, 1.0)

    def __post_init__(self) -> None:
        for name in ("utilization", "slowdown"):
            edges = getattr(self, name)
            try:
                rising = len(edges) == 3 and 0 < edges[0] < edges[1] < edges[2] < np.inf
            except TypeError:
                rising = False
            if not rising:
                rule = "must be three rising numbers above 0"
                raise InvalidInput([Problem(f"edges.{name}", rule, shown(edges), "such as (0.45, 0.70, 0.85)")])


def severity(
    utilization: Column, slowdown: Column, objective_met: NDArray[np.bool_], edges: Edges | None = None
) -> NDArray[np.intp]:
    """Index into ``VERDICTS``, the worse of the two measures; a missed objective is at least ``watch``.

    Examples
    --------
    >>> import numpy as np
    >>> index = severity(np.array([0.4, 0.8]), np.array([0.0, 0.1]), np.array([True, True]))
    >>> [VERDICTS[i] for i in index]
    ['comfortable', 'watch']
    """
    edges = edges or Edges()
    slack = 1.0 + ROUNDING
    by_load = np.searchsorted(np.array(edges.utilization) * slack, utilization)
    by_time = np.searchsorted(np.array(edges.slowdown) * slack, slowdown)  # NaN comes last
    return np.maximum(np.maximum(by_load, by_time), np.where(objective_met, 0, VERDICTS.index("watch")))
