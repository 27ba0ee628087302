"""A sweep of any size of which only quantiles are kept: the time it takes, and the most memory, Python included.

    python -m benchmarks.sweep --cells 1e8       # half a minute

Prints JSON, in SI units.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.machine import peak_memory
from benchmarks.scenarios import grid
from capacity import Scenario, sweep


def main() -> None:
    """Sweep and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=float, default=1e8)
    parser.add_argument("--quantity", default="response_time_p95")
    chosen = parser.parse_args()
    cells = int(chosen.cells)
    started, elapsed = time.process_time(), time.perf_counter()
    sweep(Scenario.example(), grid(cells), quantity=chosen.quantity, quantiles=[0.05, 0.5, 0.95])
    spent, elapsed = time.process_time() - started, time.perf_counter() - elapsed
    print(json.dumps({"cells": cells, "seconds": spent, "elapsed": elapsed, "peak_memory": peak_memory()}))


if __name__ == "__main__":
    main()
