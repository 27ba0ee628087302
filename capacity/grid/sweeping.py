"""``sweep``: any quantity over named axes of a scenario, here or wherever dask computes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from capacity.columns import unit_of_column
from capacity.errors import InvalidInput, Problem
from capacity.extras import library
from capacity.grid.axes import WORKERS, Axis, boxes, corner, is_lazy, lengths, read_axes
from capacity.grid.cells import Cells, cells_of
from capacity.grid.lazy import lazy_cells, lazy_quantiles
from capacity.grid.quantities import BANDS, PREDICTED, QUANTITIES, read_quantities
from capacity.grid.tally import exact_quantiles, merged, quantiles_of, tally_of
from capacity.policies.verdict import Edges
from capacity.prediction import require
from capacity.results import ModelName
from capacity.scenario import Scenario
from capacity.units import shown

__all__ = ["sweep"]

_BOX: Final = 2**19
"""Cells of a box: what is computed between two looks at the progress, and a chunk of a dask array."""
_MOST_HELD: Final = 2**27
"""Cells that a result may hold in memory, a GiB a quantity; more are for dask, or for their quantiles."""
_TALLIES: Final = 8
"""Boxes whose counts are added up at once."""

Told = Callable[[int, int], object]


def sweep(
    scenario: Scenario,
    axes: Mapping[str, Any],
    *,
    quantity: str | Sequence[str] = "response_time_p95",
    model: ModelName = "open",
    edges: Edges | None = None,
    over: str | Sequence[str] | None = None,
    quantiles: Sequence[float] | None = None,
    client: Any = None,
    told: Told | None = None,
) -> Any:
    """Compute quantities over a grid of scenarios: what if users, workers or service time were others.

    Parameters
    ----------
    scenario : Scenario
        What does not move.
    axes : mapping of str to array_like
        Values by the field that takes them, in SI or as text with a unit. ``workers``, or a field of `Scenario`:
        ``users``, ``service_time``, ``host.database_connections`` (the table is needed where two have such a field).
        A mapping of fields to values of one length makes one axis of them all: draws of uncertain inputs. A dask
        array stays unread.
    quantity : str or sequence of str
        What users do to the pool: ``arrival_rate``, ``throughput``, ``utilization``, ``cpu_utilization``,
        ``database_utilization``, ``wait_probability``, ``waiting_time``, ``response_time``, ``response_time_p95``,
        ``slowdown``, ``apdex``, ``objective_met``, ``verdict``, ``refused``, ``timed_out``, ``wasted``.
        How many users it takes: ``users_comfortable``, ``users_manageable``, ``users_watch``.
        What is recommended: ``max_children``, ``start_servers``,
        ``min_spare_servers``, ``max_spare_servers``, ``listen_backlog``, ``pm``, ``needed``, ``wanted``, ``shortfall``,
        ``feasible``, ``binding``, ``limit.memory`` (``cpu``, ``database``, ``process_max``, ``demand``),
        ``worst_case_memory``, ``more_workers_help``.
    model : {'open', 'finite'}
        As in `forecast`.
    edges : Edges, optional
        The edges between verdicts.
    over : str or sequence of str, optional
        Axes that `quantiles` are taken over; by default all.
    quantiles : sequence of float, optional
        Give these quantiles of each quantity over the axes `over`, in a new first dimension ``quantile``, in place of
        the cells: any number of cells then takes bounded memory.
    client : distributed.Client, optional
        Give lazy dask arrays, for this client's workers to compute. Axes that are dask arrays do the same.
    told : callable, optional
        Called as ``told(done, total)`` with numbers of cells while it computes.

    Returns
    -------
    xarray.Dataset
        A variable a quantity, over a dimension an axis, with units. The pool has the workers of the axis, or else of
        the scenario's pool, or else, cell by cell, those recommended. Words are small numbers, which
        ``flag_meanings`` names. A cell whose values make no scenario together (more CPU time than service time) is
        NaN, or -1 for words; ``refused_cells`` counts them
        where the result is not lazy.

    Raises
    ------
    InvalidInput
        An axis, a quantity or another argument breaks a rule, no cell is a scenario, or there are more cells than
        memory can hold.
    MissingExtra
        xarray is not installed, or dask where it is asked for.

    Notes
    -----
    Every cell is what `forecast` or `recommend` would say, by the same code. The p-quantile is the least value that
    at least a share p of the cells do not exceed. It is exact up to 2^19 cells for each that is kept, and beyond that
    within 2^-12 (0.025 %), mostly far less.

    Examples
    --------
    >>> from capacity import Scenario, sweep
    >>> grid = sweep(Scenario.example(), {"users": [80, 100, 150], "workers": [20, 40]}, quantity="verdict")
    >>> grid.verdict.values.tolist(), grid.verdict.flag_meanings.split()
    ([[2, 0], [3, 1], [3, 2]], ['comfortable', 'manageable', 'watch', 'overloaded'])
    """
    xarray = library("xarray", what="sweep", extra="sweep")
    require(scenario, edges)
    grid = read_axes(axes, scenario)
    names = read_quantities(quantity)
    taken = {"quantile", *names} & {name for axis in grid for name in (axis.name, *axis.labels)}
    if taken:
        raise InvalidInput([Problem(name, "is the name of an axis and of a quantity") for name in sorted(taken)])
    edges = Edges() if edges is None else edges
    if not isinstance(model, str) or model not in get_args(ModelName):
        raise InvalidInput([Problem("model", "must be open or finite", shown(model))])
    cells = cells_of(scenario, grid, names, model, edges)
    _check_load(cells)
    along = _along(grid, over, quantiles)
    shares = _shares(quantiles, names)
    attributes = _attributes(cells, scenario)
    if client is not None and not hasattr(client, "scheduler_info"):
        raise InvalidInput([Problem("client", "must be a distributed.Client", shown(client))])
    lazy = client is not None or any(is_lazy(column) for axis in grid for column in axis.columns.values())
    if lazy:
        library("dask.array", what="sweep", extra="cluster")
        made = lazy_cells(cells, grid, _BOX) if shares is None else lazy_quantiles(cells, grid, along, shares, _BOX)
    else:
        if shares is None:
            _check_size(grid)
        attributes["refused_cells"] = refused = _refused(cells, grid, scenario)
        cells = replace(cells, sound=not refused)
        made = _held(cells, grid, told) if shares is None else _quantiles(cells, grid, along, shares, told)
    kept = [axis for place, axis in enumerate(grid) if place not in along]
    dimensions = [axis.name for axis in kept] if shares is None else ["quantile", *(axis.name for axis in kept)]
    coordinates = dict(_coordinates(kept))
    if shares is not None:
        coordinates["quantile"] = ("quantile", shares, {"long_name": "share of the cells not above", "units": "1"})
    unread = {label: each for label, each in coordinates.items() if is_lazy(each[1])}
    read = {label: each for label, each in coordinates.items() if label not in unread}
    variables = {name: (dimensions, made[name], QUANTITIES[name].attributes) for name in names}
    result = xarray.Dataset(variables, read, attributes)
    # an index would read them
    result = result.assign_coords(xarray.Coordinates(unread, indexes={}))
    return result.unify_chunks() if lazy else result


def _check_load(cells: Cells) -> None:
    moved = {field for field, _ in cells.moved}
    users, rate = (
        name in moved or not math.isnan(cells.base.get(name, math.nan))
        for name in ("workload.users", "workload.arrival_rate")
    )
    if cells.model == "finite" and not users and PREDICTED.keys() & set(cells.quantities):
        raise InvalidInput([Problem("users", "are missing: the finite model is about them", hint="give an axis")])
    if not users and not rate and PREDICTED.keys() & set(cells.quantities):
        raise InvalidInput([Problem("users", "are missing, and so is an arrival_rate", hint="give an axis of either")])
    think = "workload.think_time"
    if BANDS.keys() & set(cells.quantities) and think not in moved and math.isnan(cells.base[think]):
        raise InvalidInput([Problem("workload.think_time", "is missing: it turns users into requests")])


def _along(grid: Sequence[Axis], over: object, quantiles: object) -> tuple[int, ...]:
    """Places of the axes that quantiles are taken over."""
    names = [axis.name for axis in grid]
    if quantiles is None:
        if over is not None:
            raise InvalidInput([Problem("over", "goes with quantiles", hint="such as quantiles=[0.05, 0.5, 0.95]")])
        return ()
    chosen = names if over is None else [over] if isinstance(over, str) else over
    if not isinstance(chosen, Sequence) or not chosen or any(name not in names for name in chosen):
        raise InvalidInput(
            [
                Problem(
                    "over", "must be the name of an axis, or a list of them", shown(over), f"known: {', '.join(names)}"
                )
            ]
        )
    return tuple(place for place, name in enumerate(names) if name in chosen)


def _shares(quantiles: object, names: Sequence[str]) -> NDArray[np.float64] | None:
    if quantiles is None:
        return None
    words = [name for name in names if QUANTITIES[name].words]
    if words:
        raise InvalidInput([Problem("quantiles", f"are of numbers, and {words[0]} is one of some words")])
    try:
        shares = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    except (TypeError, ValueError):
        shares = np.array([np.nan])
    if shares.ndim != 1 or not shares.size or not np.all((shares >= 0) & (shares <= 1)):
        raise InvalidInput([Problem("quantiles", "must be numbers from 0 to 1", shown(quantiles))])
    return shares


def _check_size(grid: Sequence[Axis]) -> None:
    """Refuse more cells than are held in memory."""
    total = math.prod(axis.size for axis in grid)
    if total > _MOST_HELD:
        hint = "give quantiles over some axes, or a client or dask arrays"
        raise InvalidInput([Problem("axes", f"make {total} cells; at most {_MOST_HELD} are held in memory", hint=hint)])


def _refused(cells: Cells, grid: Sequence[Axis], scenario: Scenario) -> int:
    """How many cells are no scenario; that all of them are none is told in the words of the first one."""
    sizes = [axis.size for axis in grid]
    count = 0
    for box in boxes(sizes, lengths(sizes, _BOX)):
        refused = cells.refused(cells.spread(_cut(grid, box)))
        if refused.any():
            count += int(np.broadcast_to(refused, [part.stop - part.start for part in box]).sum())
    if count == math.prod(sizes):
        Scenario.from_mapping(_first_cell(grid, scenario))
        raise AssertionError  # unreachable: the models refuse what the columns do, which a property test rules out
    return count


def _first_cell(grid: Sequence[Axis], scenario: Scenario) -> dict[str, dict[str, Any]]:
    tables = {name: dict(table) for name, table in scenario.to_mapping().items() if name != "sources"}
    for field, value in corner(grid).items():
        table, _, name = field.partition(".")
        if field == "workload.users":
            tables[table].pop("arrival_rate", None)
        if field == "workload.arrival_rate":
            tables[table].pop("users", None)
        if field != WORKERS:
            tables.setdefault(table, {})[name] = float(value)
    return tables


def _held(cells: Cells, grid: Sequence[Axis], told: Told | None) -> Mapping[str, NDArray[Any]]:
    """Every cell, in memory."""
    sizes = [axis.size for axis in grid]
    total = math.prod(sizes)
    made = {name: np.empty(sizes, dtype=QUANTITIES[name].dtype) for name in cells.quantities}
    done = 0
    for box in boxes(sizes, lengths(sizes, _BOX)):
        part = cells(*_cut(grid, box))
        for name, whole in made.items():
            whole[box] = part[name]
        done += part.size
        if told is not None:
            told(done, total)
    return made


def _quantiles(
    cells: Cells, grid: Sequence[Axis], along: Sequence[int], shares: NDArray[np.float64], told: Told | None
) -> Mapping[str, NDArray[Any]]:
    """Quantiles over some axes, one box at a time."""
    sizes = [axis.size for axis in grid]
    kept = [place for place in range(len(sizes)) if place not in along]
    each = math.prod(sizes[place] for place in along)
    outer = lengths([sizes[place] for place in kept], _BOX // each)
    inner = lengths([sizes[place] for place in along], _BOX)
    made = {name: np.empty((shares.size, *(sizes[place] for place in kept))) for name in cells.quantities}
    done, total = 0, math.prod(sizes)
    for around in boxes([sizes[place] for place in kept], outer):
        tallies: dict[str, Any] = {name: [] for name in cells.quantities}
        for inside in boxes([sizes[place] for place in along], inner):
            where = dict(zip(kept, around, strict=True)) | dict(zip(along, inside, strict=True))
            part = cells(*_cut(grid, tuple(where[place] for place in range(len(sizes)))))
            done += part.size
            for name in cells.quantities:
                values = np.moveaxis(part[name], along, range(-len(along), 0))
                if each <= _BOX:
                    flat = values.reshape((*values.shape[: len(kept)], -1))
                    made[name][(slice(None), *around)] = exact_quantiles(flat, shares)
                else:
                    tallies[name].append(tally_of(values))
                    if len(tallies[name]) == _TALLIES:
                        tallies[name] = [merged(tallies[name])]
            if told is not None:
                told(done, total)
        if each > _BOX:
            for name, whole in made.items():
                whole[(slice(None), *around)] = quantiles_of(merged(tallies[name]), shares).reshape(
                    -1, *[1] * len(kept)
                )
    return made


def _cut(grid: Sequence[Axis], box: Sequence[slice]) -> list[Any]:
    return [column[part] for axis, part in zip(grid, box, strict=True) for column in axis.columns.values()]


def _coordinates(kept: Sequence[Axis]) -> Any:
    for axis in kept:
        for (label, values), field in zip(axis.labels.items(), axis.columns, strict=True):
            attributes = {"long_name": field}
            if values.dtype.kind in "if":
                attributes["units"] = unit_of_column(field)
            yield label, (axis.name, values, attributes)


def _attributes(cells: Cells, scenario: Scenario) -> dict[str, Any]:
    moved = {field for field, _ in cells.moved}
    workers = "of the axis" if WORKERS in moved else "of the pool" if WORKERS in cells.base else "recommended"
    return {
        "title": "PHP-FPM capacity",
        "source": f"fpm-capacity {version('fpm-capacity')}",
        "model": cells.model,
        "workers": workers,
        "scenario": json.dumps(scenario.to_mapping(), sort_keys=True),
    }
