"""Predict, then measure: every case of the grid, one after the other.

::

    python -m benchmarks.fidelity                  # root; php-fpm and nginx; about forty minutes
    python -m benchmarks.fidelity --quick          # three cases in a minute
    python -m benchmarks.fidelity --cases 'closed-*' --json results.jsonl
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.fidelity import page, steps, table
from benchmarks.fidelity.calibration import Calibration, calibrate
from benchmarks.fidelity.cases import Case, grid, quick
from benchmarks.fidelity.measure import disturbances, execute, figures, lateness
from benchmarks.fidelity.predict import from_inputs, from_run, replayed
from benchmarks.fidelity.site import running
from capacity import PoolSettings


def run(case: Case, machine: Calibration) -> dict[str, Any]:
    """Predict a case, run it, and hold them side by side."""
    plan = case.plan()
    result: dict[str, Any] = {
        "case": case.name,
        "settings": asdict(case),
        # of a load that swings no formula for a steady state speaks
        "inputs": {} if case.kind == "trace" else from_inputs(case, machine),
        "replay": replayed(case, machine, plan, warm_up=case.warm_up, seconds=case.seconds),
    }
    with running(PoolSettings(pm="static", max_children=case.workers)) as site:
        done = execute(site, plan, warm_up=case.warm_up, seconds=case.seconds)
    return result | {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "own": {} if case.kind == "trace" else from_run(case, machine, done),
        "measured": figures(done, machine.held),
        "used": asdict(done.used),
        "late": lateness(done),
        "disturbed": disturbances(done, on_the_cpu=case.cpu_share > 0),
    }


def main() -> None:
    """Run what is asked for."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # which whoever started this may have switched off
        signal.signal(number, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the subset of a minute")
    parser.add_argument("--cases", default="*", metavar="PATTERN", help="only cases whose name matches")
    parser.add_argument("--seconds", type=float, help="length of every window")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append each result as a line")
    parser.add_argument("--resume", action="store_true", help="only what the file has not; keeps its calibration")
    parser.add_argument("--write", action="store_true", help="then write the page of the documentation from the file")
    chosen = parser.parse_args()
    if (chosen.write or chosen.resume) and not chosen.json:
        parser.error("--write and --resume need --json")
    cases = [case for case in (quick() if chosen.quick else grid()) if fnmatch(case.name, chosen.cases)]
    if chosen.seconds:
        cases = [replace(case, seconds=chosen.seconds) for case in cases]
    wanted = [] if chosen.quick else [name for name in steps.POOLS if fnmatch(name, chosen.cases)]
    if chosen.resume and chosen.json.exists():
        done = {json.loads(text).get("case") for text in chosen.json.read_text().splitlines()}
        cases = [case for case in cases if case.name not in done]
        wanted = [name for name in wanted if name not in done]
    if cases or wanted:
        known = page.read(chosen.json)[1] if chosen.resume and chosen.json.exists() else {}
        machine = Calibration(**known) if known else calibrate(2.0 if chosen.quick else 4.0)
        keep(chosen.json, {"calibration": asdict(machine), "machine": page.machine()})
        measure(cases, wanted, chosen.json, machine)
    if chosen.write:
        page.write(chosen.json)


def measure(cases: list[Case], wanted: list[str], file: Path | None, machine: Calibration) -> None:
    """Run one case after the other."""
    began = time.monotonic()
    print("calibrated: " + ", ".join(f"{name} {value:.3g}" for name, value in asdict(machine).items()))
    for case in cases:
        result = run(case, machine)
        keep(file, result)
        print(table.line(result), flush=True)
    for name in wanted:
        result = steps.result(name, machine)
        keep(file, result)
        print(table.step_line(result), flush=True)
    print(f"{len(cases) + len(wanted)} cases in {(time.monotonic() - began) / 60:.1f} minutes")


def keep(file: Path | None, result: dict[str, Any]) -> None:
    """Write it down at once, so that an interruption loses nothing."""
    if file:
        with file.open("a") as lines:
            lines.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
