"""``capacity sweep``: a grid of what-ifs, to a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from capacity.cli.options import given_fields, model_option, scenario_options
from capacity.cli.output import check_writable, output_option, progress, standard_output, tell
from capacity.errors import InvalidInput, MissingExtra, Problem
from capacity.units import shown

if TYPE_CHECKING:
    from capacity.cli.intake import Intake
    from capacity.scenario import Scenario

_FORMATS: Final = ("csv", "nc", "parquet")
_MOST_VALUES: Final = 10**6
_STEPS: Final = {"s": "100ms:1s:50ms", "byte": "32MiB:128MiB:16MiB"}
_ROWS: Final = 2**18  # rows of a table that are made at once


@click.command()
@scenario_options
@click.option(
    "--axis",
    "axes",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="What moves: users=80,100,150 or workers=1:200 or service-time=100ms:1s:50ms (start:end:step).",
)
@click.option(
    "--quantity",
    "quantities",
    multiple=True,
    metavar="NAME",
    help="What to compute, such as utilization or verdict; by default response_time_p95. May be repeated.",
)
@model_option
@click.option("--quantiles", default=None, metavar="P,P,...", help="Give these quantiles over axes, not the cells.")
@click.option("--over", multiple=True, metavar="NAME", help="Axis that quantiles are taken over; by default all.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    default=None,
    help="How to write it; by default as the name after -o ends, else csv.",
)
@output_option
def sweep(
    scenario: str | None,
    pool_file: str | None,
    pool_name: str | None,
    measure: bool | None,
    axes: Sequence[str],
    quantities: Sequence[str],
    model: str,
    quantiles: str | None,
    over: Sequence[str],
    output_format: str | None,
    output: str | None,
    **fields: Any,
) -> int:
    """Compute quantities over a grid of scenarios.

    Every cell is what forecast or recommend would say. Numbers are SI: seconds, bytes, fractions.

    \b
    Quantities of the pool (the axis workers, else today's, else the recommended one):
      arrival_rate throughput utilization cpu_utilization database_utilization wait_probability waiting_time
      response_time response_time_p95 slowdown apdex objective_met verdict refused
      timed_out wasted
      users_comfortable users_manageable users_watch (the most users with that verdict)
    Quantities of the recommendation:
      max_children start_servers min_spare_servers max_spare_servers listen_backlog pm needed wanted shortfall
      feasible binding worst_case_memory more_workers_help
      limit.memory limit.cpu limit.database limit.process_max limit.demand

    \b
    Examples:
      capacity sweep --axis users=10:1000:10 --axis workers=1:200 -o grid.csv
      capacity sweep --axis users=80,100,150,200 --axis workers=20,40 --quantity verdict
      capacity sweep --axis memory=32MiB:128MiB:16MiB --quantity max_children --quantity binding
      capacity sweep --axis users=50:300:50 --axis service-time=200ms:300ms:1ms --over service-time --quantiles 0.05,0.95

    Needs the extra: pip install 'fpm-capacity[sweep]'
    """  # noqa: D301, E501 click wants the escape itself, and the example its line
    from capacity.cli.intake import take_in, tell_assumptions
    from capacity.grid import sweep as sweep_grid
    from capacity.grid.axes import field_of

    kind = output_format or _kind(output)
    if kind != "csv" and output in (None, "-"):
        raise InvalidInput([Problem("--format", "goes with -o FILE", kind, "only csv is written to standard output")])
    check_writable(output)
    moved: dict[str, list[Any]] = {}
    for name, values in map(_axis, axes):
        if name in moved:
            raise InvalidInput([Problem(f"--axis {name}", "is given twice")])
        moved[name] = values
    intake = take_in(scenario, given_fields(fields), pool_file=pool_file, pool_name=pool_name, measure=measure)
    names = {field_of(name) for name in moved}
    tell_assumptions(_without(set(names), intake))
    quantities = quantities or ("response_time_p95",)
    _tell_pool(names, quantities, intake.scenario)
    with progress("computing") as told:
        result = sweep_grid(
            intake.scenario,
            moved,
            quantity=quantities,
            model=model,  # type: ignore[arg-type]
            over=[name.replace("-", "_") for name in over] or None,
            quantiles=None if quantiles is None else _numbers(quantiles),
            told=told,
        )
    if refused := result.attrs["refused_cells"]:
        cells = math.prod(map(len, moved.values()))
        what = "are empty" if quantiles is None else "do not count"
        tell(f"Note: {refused} of {cells} cells make no scenario (such as more CPU time than service time) and {what}")
    _WRITERS[kind](result, output)
    return 0


def _kind(output: str | None) -> str:
    if output in (None, "-"):
        return "csv"
    suffix = Path(str(output)).suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        hint = f"known: {', '.join(f'.{kind}' for kind in _FORMATS)}; or give --format"
        raise InvalidInput([Problem("--output", "must end as a known format", shown(output, longest=200), hint)])
    return suffix


def _tell_pool(moved: set[str], quantities: Sequence[str], scenario: Scenario) -> None:
    """Say which pool the quantities are of, where no axis does."""
    from capacity.grid.axes import WORKERS
    from capacity.grid.quantities import BANDS, PREDICTED

    of_pool = [name for name in quantities if name in BANDS or (name in PREDICTED and name != "arrival_rate")]
    if WORKERS in moved or not of_pool:
        return
    which = "the recommended one of each row"
    if scenario.pool is not None:
        which = f"today's, {scenario.pool.max_children} workers, in every row"
    tell(f"Note: {', '.join(of_pool)}: the pool is {which}; an axis workers=1:200 would move it")


def _without(moved: set[str], intake: Intake) -> Intake:
    """What is assumed, without what moves or what that takes the place of."""
    if moved & {"workload.users", "workload.arrival_rate"}:
        moved |= {"workload.users", "workload.arrival_rate"}
    kept = [a for a in intake.assumptions if a.field not in moved]
    if "pool.max_children" in moved:
        kept = [a for a in kept if not a.field.startswith("pool.")]
    return replace(intake, assumptions=tuple(kept))


def _axis(text: str) -> tuple[str, list[Any]]:
    """Name and values of one axis."""
    from capacity.columns import unit_of_column
    from capacity.grid.axes import field_of

    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not values.strip():
        raise InvalidInput([Problem("--axis", "must be NAME=VALUES", shown(text), "such as users=10:1000:10")])
    unit = unit_of_column(field_of(name))
    found = (value for part in values.split(",") for value in _values(name, part.strip(), unit))
    taken = list(islice(found, _MOST_VALUES + 1))
    if len(taken) > _MOST_VALUES:
        raise InvalidInput([Problem(f"--axis {name}", f"must have at most {_MOST_VALUES} values", shown(text))])
    return name, taken


def _values(name: str, part: str, unit: str) -> Iterator[Any]:
    """One value, or a range with both its ends."""
    ends = [_number(name, end.strip(), unit) for end in part.split(":")]
    if len(ends) == 1:
        yield ends[0]
        return
    rule = "must be start:end or start:end:step, rising"
    if len(ends) > 3 or any(isinstance(end, str) for end in ends):
        raise InvalidInput([Problem(f"--axis {name}", rule, shown(part))])
    if len(ends) == 2 and unit in _STEPS:
        raise InvalidInput([Problem(f"--axis {name}", "needs a step", shown(part), f"such as {_STEPS[unit]}")])
    start, end, step = (*ends, 1)[:3]
    if not (step > 0 and end >= start):
        raise InvalidInput([Problem(f"--axis {name}", rule, shown(part))])
    steps = (end - start) / step * (1 + 1e-12)  # a step may be rounded
    for number in range(int(min(steps, _MOST_VALUES)) + 1):
        value = start + number * step
        yield value if isinstance(value, int) else float(f"{value:.12g}")  # 100ms + 50ms is 150ms


def _number(name: str, text: str, unit: str) -> Any:
    """A number in SI; text where the field holds words."""
    from capacity.fields import read_quantity

    if unit in {"byte", "s", "1/s"}:
        return read_quantity(text, unit, name=f"--axis {name}")
    if unit == "1":
        try:
            return read_quantity(float(text), unit)
        except ValueError:
            raise InvalidInput([Problem(f"--axis {name}", "must be numbers", shown(text))]) from None
    return text


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput([Problem("--quantiles", "must be numbers from 0 to 1", shown(text), "0.05,0.95")]) from None


def _frames(result: Any) -> Iterator[Any]:
    """Rows of a result, some at a time; words as text."""
    first, *others = result.sizes.items()
    each = max(1, _ROWS // math.prod(size for _, size in others))
    for start in range(0, first[1], each):
        frame = result.isel({first[0]: slice(start, start + each)}).to_dataframe().reset_index()
        for name, variable in result.data_vars.items():
            words = variable.attrs.get("flag_meanings")
            if words is not None:
                frame[name] = _pandas().Categorical.from_codes(frame[name], categories=words.split(), ordered=True)
        yield frame


def _write_csv(result: Any, output: str | None) -> None:
    with _opened(output) as stream:
        for number, frame in enumerate(_frames(result)):
            frame.to_csv(stream, index=False, header=number == 0, lineterminator="\n", float_format="%.15g")


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output in (None, "-"):
        yield standard_output()
        return
    with Path(str(output)).open("w", encoding="utf-8", newline="") as stream:
        yield stream


def _write_parquet(result: Any, output: str | None) -> None:
    try:
        from pyarrow import Table
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise MissingExtra(what="--format parquet", library="pyarrow", extra="sweep") from None
    tables = (Table.from_pandas(frame, preserve_index=False) for frame in _frames(result))
    first = next(tables)
    # opened here: a name that is not UTF-8 is none to pyarrow
    with Path(str(output)).open("wb") as stream, ParquetWriter(stream, first.schema) as writer:
        for rows in chain([first], tables):
            writer.write_table(rows)


def _write_netcdf(result: Any, output: str | None) -> None:
    try:
        result.to_netcdf(output, engine="h5netcdf")
    except (ImportError, ValueError) as error:
        if "h5netcdf" not in str(error):
            raise
        raise MissingExtra(what="--format nc", library="h5netcdf", extra="sweep") from None


def _pandas() -> Any:
    import pandas as pd

    return pd


_WRITERS: Final = {"csv": _write_csv, "parquet": _write_parquet, "nc": _write_netcdf}
