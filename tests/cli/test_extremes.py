"""Extreme but valid inputs: an answer with finite numbers and settings that FPM takes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from .conftest import run

HUGE = ("--ram", "1TiB", "--worker-memory", "1MiB")
RECOMMEND = [
    (*HUGE, "--cpu-time", "60ms"),
    (*HUGE, "--cpu-time", "60ms", "--cpus", "512", "--users", "1000000"),
    (*HUGE, "--users", "1000000", "--response-time", "1s"),
    ("--ram", "8191TiB", "--worker-memory", "1B"),
    ("--ram", "8191TiB", "--worker-memory", "1B", "--cpu-time", "1ms"),
    ("--ram", "1B", "--reserved", "0B", "--worker-memory", "1TiB"),
    ("--users", "1000000"),
    ("--users", "1000000000", "--cpu-time", "60ms"),
    ("--users", "2147483647"),
    ("--users", "1", "--think-time", "1000h"),
    ("--cpu-time", "1us"),
    ("--cpu-time", "0s"),
    ("--cpu-time", "250ms"),
    ("--service-time", "1us"),
    ("--service-time", "1us", "--cpu-time", "1us"),
    ("--service-time", "10h"),
    ("--service-time", "10h", "--cpu-time", "1us"),
    ("--service-time", "10h", "--cpu-time", "10h"),
    ("--cpus", "0.01"),
    ("--cpus", "0.01", "--cpu-time", "60ms"),
    ("--cpus", "4096", "--cpu-time", "60ms"),
    ("--cpus", "65536", "--cpu-time", "60ms"),
    ("--think-time", "0s"),
    ("--think-time", "0s", "--cpu-time", "60ms"),
    ("--requests-per-click", "0.001"),
    ("--requests-per-click", "1000"),
    ("--requests-per-click", "1000", "--cpu-time", "60ms"),
    ("--requests-per-click", "1e-9"),
    ("--requests-per-click", "1000000"),
    ("--arrival-rate", "0"),
    ("--arrival-rate", "0", "--cpu-time", "60ms", "--response-time", "1s"),
    ("--arrival-rate", "1" + "0" * 12),
    ("--arrival-rate", "1" + "0" * 12, "--cpu-time", "60ms"),
    ("--headroom", "1000"),
    ("--headroom", "1000", "--cpu-time", "60ms"),
    ("--service-scv", "0"),
    ("--service-scv", "1000000"),
    ("--max-utilization", "0.999999999", "--cpu-time", "20ms"),
    ("--max-utilization", "0.01"),
    ("--percentile", "0.999999999999", "--response-time", "800ms"),
    ("--percentile", "1e-300", "--response-time", "1us"),
    ("--response-time", "1us", "--cpu-time", "60ms"),
    ("--database-connections", "1", "--database-time", "250ms"),
    ("--database-connections", "2147483647", "--database-time", "250ms"),
    ("--process-max", "2147483647", "--ram", "8191TiB", "--worker-memory", "1B"),
    ("--pools-on-host", "2147483647", "--process-manager", "auto"),
    ("--web-server-timeout", "1us"),
]
FORECAST = [
    ("--workers", workers, "--model", model, *cpu)
    for workers in ("1", "3000")
    for model in ("open", "finite")
    for cpu in ((), ("--cpu-time", "60ms"), ("--cpu-time", "1us"), ("--cpu-time", "250ms", "--cpus", "4096"))
]
FORECAST += [
    ("--workers", "1000", "--model", model, *cpu, *extreme)
    for model in ("open", "finite")
    for cpu in ((), ("--cpu-time", "1us"))
    for extreme in (
        ("--at", "1,1000000"),
        ("--requests-per-click", "1000"),
        ("--requests-per-click", "0.001"),
        ("--think-time", "0s"),
        ("--think-time", "1000h"),
        ("--service-time", "1us"),
        ("--service-time", "10h"),
        ("--cpus", "0.01"),
    )
]
FORECAST += [("--workers", "1000000", "--model", model) for model in ("open", "finite")]
FORECAST.append(("--workers", "1000", "--at", "1,1000000000"))
FORECAST.append(
    ("--model", "finite", "--think-time", "0s", "--service-scv", "0.5", "--at", "3,20,21", "--workers", "20")
)


def assert_finite(value: Any) -> None:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            assert_finite(part)
    elif isinstance(value, float):
        assert math.isfinite(value)


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def ids(arguments: tuple[str, ...]) -> str:
    return " ".join(word if len(word) < 20 else f"{word[:4]}..." for word in arguments)


@pytest.mark.parametrize("arguments", RECOMMEND, ids=ids)
def test_an_extreme_recommendation_is_finite_and_valid_for_fpm(arguments: tuple[str, ...]) -> None:
    ran = run("recommend", "--format", "json", *arguments)
    assert ran.code in {0, 3}, ran.err
    result = json.loads(ran.out, parse_constant=refuse_constant)
    assert_finite(result)
    assert result["feasible"] == (ran.code == 0)
    pool = result["pool"]
    assert 1 <= pool["min_spare_servers"] <= pool["start_servers"] <= pool["max_spare_servers"] <= pool["max_children"]
    assert pool["listen_backlog"] >= 1
    assert pool["request_terminate_timeout"] >= 1
    for prediction in result["predictions"]:
        assert 0 <= prediction["utilization"] <= 1 + 1e-9
        assert 0 <= prediction["wait_probability"] <= 1
        assert prediction["response_time"] is None or prediction["response_time"] >= 0
    assert "Warning" not in ran.err
    assert run("recommend", *arguments).code == ran.code


@pytest.mark.parametrize("arguments", FORECAST, ids=ids)
def test_an_extreme_forecast_is_finite_and_its_bands_grow(arguments: tuple[str, ...]) -> None:
    ran = run("forecast", "--format", "json", *arguments)
    assert ran.code == 0, ran.err
    result = json.loads(ran.out, parse_constant=refuse_constant)
    assert_finite(result)
    most = [band["users"] for band in result["bands"] if band["users"] is not None]
    assert most == sorted(set(most))
    order = ["comfortable", "manageable", "watch", "overloaded"]
    by_users = sorted((entry["users"], order.index(entry["verdict"])) for entry in result["predictions"])
    assert [level for _, level in by_users] == sorted(level for _, level in by_users)
    assert "Warning" not in ran.err
