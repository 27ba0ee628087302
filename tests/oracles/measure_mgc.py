"""How far `mgc_*` is from `mgc.csv` and `mgc_held_out.csv`: run `python -m tests.oracles.measure_mgc`.

With `long`, instead, the mean wait in the hardest cases against 24 million requests each (five minutes on one core):
many servers and a lognormal law of a large scv, where few wait and those for long; and some below the utilizations
of the tables, against 4 million. Nothing is judged here.

An error is a fraction of the simulated value, where that is a mean wait of 0.02 service times or more, a wait
probability of 0.02 or more, a quantile of 0.1 service times or more; beside the worst stands the standard error of the
simulation, which is chance and not ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from capacity import queueing

from .generate_mgc import COLUMNS, LAWS, measure
from .tables import read_table

Array = NDArray[np.float64]
Table = dict[str, Array]


def of_law(table: Table, law: str) -> Table:
    """The rows of a law."""
    chosen = table["law"] == LAWS[law]
    return {name: column[chosen] for name, column in table.items()}


def computed(table: Table, law: str, name: str) -> Array:
    """Our figure for every row; `name` as in the table."""
    case = {
        "servers": table["servers"],
        "arrival_rate": table["servers"] * table["utilization"],
        "service_time": 1.0,
        "service_scv": table["service_scv"],
        "service_law": "gamma" if law == "gamma" else "lognormal",
    }
    if name in ("waiting_time", "wait_probability"):
        return np.asarray(getattr(queueing, f"mgc_{name}")(**case))
    what = "waiting" if name.startswith("w_") else "response"
    return np.asarray(getattr(queueing, f"mgc_{what}_time_quantile")(float(name[3:]) / 100, **case))


def report(name: str, table: Table, law: str, rows: Array) -> str:
    """Median and worst error, with where it is."""
    ours, simulated, chance = computed(table, law, name), table[name], table[f"{name}_se"]
    floor = 0.02 if name in ("waiting_time", "wait_probability") else 0.1
    rows = rows & (simulated >= (floor if len(rows) > 1 else 0))
    if not rows.any():
        return ""
    errors = np.where(rows, ours / np.where(rows, simulated, 1.0) - 1, 0.0)
    worst = int(np.abs(errors).argmax())
    where = ", ".join(f"{key} {table[key][worst]:g}" for key in ("service_scv", "servers", "utilization"))
    return (
        f"{name:17} {int(rows.sum()):4} cases: median {np.median(np.abs(errors[rows])):.3f}, 95 % of them within "
        f"{np.quantile(np.abs(errors[rows]), 0.95):.3f}, worst {errors[worst]:+.3f} +-"
        f"{chance[worst] / simulated[worst]:.3f} ({where})"
    )


REGIONS: dict[str, Callable[[Table], Array]] = {
    "1 or 2 servers, scv above 1": lambda t: (t["servers"] <= 2) & (t["service_scv"] > 1),
    "1 or 2 servers, scv to 1": lambda t: (t["servers"] <= 2) & (t["service_scv"] <= 1),
    "3 servers and more, scv above 1": lambda t: (t["servers"] > 2) & (t["service_scv"] > 1),
    "3 servers and more, scv to 1": lambda t: (t["servers"] > 2) & (t["service_scv"] <= 1),
}


def main() -> None:
    """One line a figure, law and region."""
    names = ("waiting_time", "wait_probability", *(f"{what}_p{p}" for what in ("w", "r") for p in (50, 90, 95, 99)))
    for origin, law in product(("mgc", "mgc_held_out"), LAWS):
        table = of_law(read_table(origin), law)
        for region, chosen in REGIONS.items():
            # beyond 0.95 the simulated quantiles have too long a memory for their standard errors
            for name in names:
                steady = table["utilization"] <= (0.95 if "_p" in name else 1.0)
                if line := report(name, table, law, chosen(table) & steady):
                    print(f"{origin:12} {law:13} {region:31} {line}")


HARDEST = [
    ("lognormal", 4.0, 12, 0.55),
    ("lognormal", 4.0, 20, 0.7),
    ("lognormal", 4.0, 40, 0.8),
    ("lognormal", 3.0, 65, 0.85),
    ("lognormal", 4.0, 100, 0.9),
    ("lognormal", 4.0, 100, 0.95),
    ("gamma", 2.0, 100, 0.9),
    ("gamma", 4.0, 100, 0.9),
]


LIGHTEST = [
    (law, scv, *pool)
    for law, scv, pool in product(("gamma", "lognormal"), (0.25, 1.0, 4.0), ((2, 0.1), (2, 0.25), (4, 0.25), (5, 0.4)))
]


def long() -> None:
    """One line a case."""
    cases = [*((case, 600_000) for case in HARDEST), *((case, 100_000) for case in LIGHTEST)]
    for seed, ((law, scv, servers, utilization), count) in enumerate(cases, 20_001):
        row = measure(law, scv, servers, utilization, seed, count)
        table = {name: np.array([value]) for name, value in zip(COLUMNS, row, strict=True)}
        print(law, report("waiting_time", table, law, np.array([True])), flush=True)


if __name__ == "__main__":
    long() if "long" in sys.argv else main()
