"""The inverses over many scenarios at once: the very edge everywhere, and few evaluations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from capacity import queueing as q
from capacity.queueing import _inverse
from capacity.queueing.search import least_crossing, root_near

SIZE = 20_000


def hosts(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    service = np.exp(rng.uniform(-7, 3, SIZE))
    load = np.where(rng.random(SIZE) < 0.8, rng.uniform(0.01, 500, SIZE), np.exp(rng.uniform(-6, 12, SIZE)))
    p = rng.choice([0.1, 0.5, 0.9, 0.95, 0.99, 0.9999], SIZE)
    return {
        "service_time": service,
        "arrival_rate": load / service,
        "p": p,
        "wait_probability": np.exp(rng.uniform(-12, 0, SIZE)),
        "waiting_time": service * np.exp(rng.uniform(-9, 2, SIZE)),
        "response_time": -service * np.log1p(-p) * (1 + np.exp(rng.uniform(-7, 2, SIZE))),
        "servers": rng.integers(1, 400, SIZE).astype(float),
        "think_time": service * np.exp(rng.uniform(-1, 3, SIZE)),
    }


def value(target: str, host: dict[str, np.ndarray], **changed: np.ndarray) -> np.ndarray:
    """The quantity that the target bounds, by its public function."""
    inputs = {name: host[name] for name in ("servers", "arrival_rate", "service_time")} | changed
    if target == "wait_probability":
        return q.mmc_wait_probability(**inputs)
    return getattr(q, f"mmc_{target}_quantile")(host["p"], **inputs)


def arguments(target: str) -> tuple[str, ...]:
    return (target,) if target == "wait_probability" else ("p", target)


def name_of(target: str) -> str:
    return target if target == "wait_probability" else f"{target}_quantile"


every_target = pytest.mark.parametrize("target", ["wait_probability", "waiting_time", "response_time"])


@every_target
def test_every_least_count_is_the_least(target: str) -> None:
    host = hosts(81)
    given = {name: host[name] for name in (*arguments(target), "arrival_rate", "service_time")}
    least = getattr(q, f"servers_for_{name_of(target)}")(**given)
    assert np.isfinite(least).all()
    assert (value(target, host, servers=least) <= host[target]).all()
    fewer = value(target, host, servers=np.maximum(least - 1, 0))
    assert ((fewer > host[target]) | (least == 0)).all()


@every_target
def test_every_largest_rate_is_the_largest(target: str) -> None:
    host = hosts(82)
    given = {name: host[name] for name in (*arguments(target), "servers", "service_time")}
    rate = getattr(q, f"arrival_rate_for_{name_of(target)}")(**given)
    full = host["servers"] / host["service_time"]
    assert ((rate >= 0) & (rate < full)).all()
    kept = rate > 1e-300
    assert kept.mean() > 0.9
    assert (value(target, host, arrival_rate=rate) <= host[target])[kept].all()
    more = np.minimum(rate * (1 + 1e-11), full)
    assert (value(target, host, arrival_rate=more) > host[target])[kept].all()


def test_every_largest_population_is_the_largest() -> None:
    host = {name: column[:3000] for name, column in hosts(83).items()}
    pool = {name: host[name] for name in ("servers", "think_time", "service_time")}
    most = q.population_for_wait_probability(wait_probability=host["wait_probability"], **pool)
    assert (q.finite_wait_probability(population=most, **pool) <= host["wait_probability"]).all()
    assert (q.finite_wait_probability(population=most + 1, **pool) > host["wait_probability"]).all()
    most = q.population_for_response_time_quantile(p=host["p"], response_time=host["response_time"], **pool)
    assert (q.finite_response_time_quantile(host["p"], population=most, **pool) <= host["response_time"]).all()
    assert (q.finite_response_time_quantile(host["p"], population=most + 1, **pool) > host["response_time"]).all()


@pytest.mark.parametrize(("target", "most"), [("wait_probability", 3.1), ("waiting_time", 3.1), ("response_time", 5.0)])
def test_a_host_costs_few_evaluations(target: str, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = []

    def counted(*arrays: np.ndarray) -> np.ndarray:
        evaluated.append(arrays[0].size)
        return plain(*arrays)

    plain = _inverse.delay
    monkeypatch.setattr(_inverse, "delay", counted)
    host = hosts(84)
    getattr(q, f"servers_for_{name_of(target)}")(
        **{name: host[name] for name in (*arguments(target), "arrival_rate", "service_time")}
    )
    assert SIZE < sum(evaluated) < most * SIZE


# --- The search itself --------------------------------------------------------------------------------------------


def test_the_least_crossing_is_found_from_any_guess() -> None:
    rng = np.random.default_rng(85)
    edge = np.round(np.exp(rng.uniform(0, 30, 3000)))
    edge[:50] = np.inf
    shape = rng.integers(0, 4, edge.size)
    guess = np.where(
        rng.random(edge.size) < 0.5, edge + rng.integers(-3, 4, edge.size), rng.uniform(-10, 1e6, edge.size)
    )
    guess[60:80] = math.nan

    def excess(n: np.ndarray, rows: np.ndarray) -> np.ndarray:
        ahead = edge[rows] - n
        shapes = [ahead, np.where(ahead > 0, np.inf, -np.inf), np.cbrt(ahead), np.where(ahead > 0, np.nan, -1.0)]
        return np.choose(shape[rows], shapes)

    below = np.full(edge.size, -1.0)
    below[100:110] = math.nan
    with np.errstate(all="ignore"):
        found, at, before = least_crossing(excess, below, guess, rng.uniform(0, 50, edge.size))
    asked = np.isfinite(below)
    np.testing.assert_array_equal(found[asked & np.isfinite(edge)], edge[asked & np.isfinite(edge)])
    assert np.isinf(found[~asked | np.isinf(edge)]).all()
    judged = asked & np.isfinite(edge)
    assert (at[judged] <= 0).all()
    assert not (before[judged] <= 0).any()


def test_a_root_is_found_from_any_guess() -> None:
    rng = np.random.default_rng(86)
    true = rng.uniform(0, 10, 2000)
    true[:20] = 0.0
    low, high = np.zeros(true.size), np.full(true.size, 10.0)
    guess = np.where(rng.random(true.size) < 0.5, true * (1 + 1e-6), rng.uniform(-5, 15, true.size))
    guess[30:40] = math.nan
    found = root_near(lambda x, rows: np.tanh(true[rows] - x), low, high, guess, rng.uniform(1e-6, 1, true.size))
    np.testing.assert_allclose(found, true, rtol=1e-14, atol=1e-300)
