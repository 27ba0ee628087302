"""Results as lines on the screen."""

from __future__ import annotations

import math
from typing import Any

SHOWN = {"throughput": "X", "response_time": "mean", "response_time_p95": "p95", "busy_workers": "busy"}


def error(result: dict[str, Any], source: str, figure: str) -> float:
    """Relative error of a prediction; NaN where there is none."""
    predicted, measured = (result.get(source) or {}).get(figure), result["measured"][figure]
    return math.nan if predicted is None or not measured else predicted / measured - 1


def percent(value: float) -> str:
    """A signed percentage."""
    return "" if math.isnan(value) else "endless" if math.isinf(value) else f"{100 * value:+.1f}"


def line(result: dict[str, Any]) -> str:
    """One run on one line: measured, and errors in percent of X, mean, p95, busy."""
    seen = result["measured"]
    text = (
        f"{result['case']:36} X {seen['throughput']:6.1f}/s  mean {seen['response_time'] * 1e3:7.1f}"
        f" ±{100 * seen['response_time_doubt'] / seen['response_time']:4.1f} %"
        f"  p95 {seen['response_time_p95'] * 1e3:7.1f} ms  busy {seen['busy_workers']:6.2f}"
    )
    for source in ("inputs", "own", "replay"):
        if result.get(source):
            text += f" | {source} " + " ".join(f"{percent(error(result, source, name)):>6}" for name in SHOWN)
    marks = result["disturbed"]
    return text + (f" | DISTURBED: {'; '.join(marks)}" if marks else "")


def step_line(result: dict[str, Any]) -> str:
    """A sudden step on one line: mean waits."""
    seen, inputs, own = result["measured"], result["inputs"], result["own"]
    return (
        f"{result['case']:36} mean wait {seen['waiting_time']:.3f} s, predicted {inputs['waiting_time']:.3f} "
        f"({inputs['waiting_time_low']:.3f} to {inputs['waiting_time_high']:.3f}), given its ticks "
        f"{own['waiting_time']:.3f}; equal workers at {result['equal_ticks']} of {len(result['workers'])} ticks"
    )
