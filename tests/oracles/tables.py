"""Read the oracle tables, and judge an implementation against them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

HERE = Path(__file__).parent

SMALLEST = 1e-290  # accuracy is claimed above this


def read_table(name: str) -> dict[str, NDArray[np.float64]]:
    """The columns of `<name>.csv` by name; lines that start with # tell where the numbers come from."""
    lines = (HERE / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    columns = np.array([[float(cell) for cell in row] for row in rows[1:]]).T
    return dict(zip(rows[0], columns, strict=True))


def assert_matches(
    ours: ArrayLike,
    exact: NDArray[np.float64],
    inputs: dict[str, NDArray[np.float64]],
    *,
    tolerance: float,
    floor: ArrayLike = SMALLEST,
    what: str = "value",
    show: int = 8,
) -> None:
    """Every value above the floor within the relative tolerance; below it finite, not negative and small."""
    got = np.asarray(ours)
    assert got.dtype == np.float64, f"{what}: dtype {got.dtype}, not float64"
    assert got.shape == exact.shape, f"{what}: shape {got.shape}, not {exact.shape}"
    assert exact.size, f"{what}: no rows"
    judged = exact > floor
    with np.errstate(all="ignore"):
        error = np.where(judged, np.abs(got - exact) / exact, 0.0)
        small = (got >= 0) & (got <= 2 * np.maximum(np.asarray(floor), SMALLEST))
    error = np.where(judged | small, error, np.inf)
    error = np.where(judged & np.isinf(exact) & (got == exact), 0.0, error)
    bad = ~(error <= tolerance)  # a NaN is bad
    if not bad.any():
        return
    order = np.argsort(-np.where(np.isnan(error), np.inf, error), kind="stable")[:show]
    report = [f"{what}: {bad.sum()} of {exact.size} rows off by more than {tolerance:g}; the worst:"]
    for row in order[: bad.sum()]:
        point = ", ".join(f"{name}={float(column[row])!r}" for name, column in inputs.items())
        report.append(
            f"  row {row}: {point}: ours {float(got[row])!r}, exact {float(exact[row])!r},"
            f" relative error {float(error[row]):.2e}"
        )
    raise AssertionError("\n".join(report))
