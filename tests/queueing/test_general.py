"""M/G/c against long simulation, exact values, its own limits and its edges. The tables cost nothing to read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from oracles.fit_mgc import MOST_SERVERS, deterministic, first_residual
from oracles.generate_mgc import COLUMNS, LAWS, measure
from oracles.measure_mgc import computed, of_law
from oracles.tables import read_table

from capacity import queueing
from capacity.queueing import _general, _general_table

Array = NDArray[np.float64]

CHANCE = 2.0  # standard errors
TABLES = {name: read_table(name) for name in ("mgc", "mgc_held_out")}

every_law = pytest.mark.parametrize("law", ["lognormal", "gamma"])


def of(table: str, law: str) -> dict[str, Array]:
    rows = of_law(TABLES[table], law)
    assert len(rows["law"]) >= 42
    return rows


def assert_within(ours: Array, rows: dict[str, Array], name: str, allowed: Array) -> None:
    far = np.abs(ours - rows[name]) - allowed
    worst = int(far.argmax())
    case = {key: rows[key][worst] for key in ("service_scv", "servers", "utilization")}
    assert (far <= 0).all(), f"{name} {case}: ours {ours[worst]:.5g}, simulated {rows[name][worst]:.5g}"


@pytest.mark.parametrize("law", LAWS)
def test_the_mean_wait_is_within_5_percent_or_a_thousandth_of_the_service_time(law: str) -> None:
    """scv 0 to 4, 1 to 100 servers, utilization 0.5 to 0.95: the simulated figure as it is, chance and all."""
    rows = of("mgc", law)
    assert {rows["servers"].min(), rows["servers"].max()} == {1, 100}
    assert (rows["utilization"].min(), rows["utilization"].max()) == (0.5, 0.95)
    allowed = np.maximum(0.05 * rows["waiting_time"], 0.001)
    assert_within(computed(rows, law, "waiting_time"), rows, "waiting_time", allowed)
    # and nearer where the spread is that of an exponential time or less
    rows = {name: column[rows["service_scv"] <= 1] for name, column in rows.items()}
    allowed = np.maximum(0.01 * rows["waiting_time"], 0.0003) + CHANCE * rows["waiting_time_se"]
    assert_within(computed(rows, law, "waiting_time"), rows, "waiting_time", allowed)


@every_law
def test_the_mean_wait_holds_between_and_beyond_the_cases_it_was_fitted_to(law: str) -> None:
    rows = of("mgc_held_out", law)
    allowed = np.maximum(0.05 * rows["waiting_time"], 0.001) + CHANCE * rows["waiting_time_se"]
    assert_within(computed(rows, law, "waiting_time"), rows, "waiting_time", allowed)


@pytest.mark.parametrize(
    ("table", "law"), [*(("mgc", law) for law in LAWS), ("mgc_held_out", "gamma"), ("mgc_held_out", "lognormal")]
)
class TestAgainstSimulation:
    def test_the_wait_probability(self, table: str, law: str) -> None:
        rows = of(table, law)
        allowed = np.maximum(0.01 * rows["wait_probability"], 0.001) + CHANCE * rows["wait_probability_se"]
        assert_within(computed(rows, law, "wait_probability"), rows, "wait_probability", allowed)

    @pytest.mark.parametrize("p", [50, 90, 95, 99])
    def test_quantiles_of_the_wait(self, table: str, law: str, p: int) -> None:
        rows, name = of(table, law), f"w_p{p}"
        share = np.where(
            (law == "lognormal") & (rows["service_scv"] > 1), np.where(rows["servers"] <= 2, 0.14, 0.08), 0.05
        )
        share = np.where((rows["servers"] <= 2) & (p == 50), np.maximum(share, 0.1), share)
        allowed = np.maximum(share * rows[name], 0.05) + CHANCE * rows[f"{name}_se"]
        self.assert_quantiles(rows, law, name, allowed)

    @pytest.mark.parametrize("p", [50, 90, 95, 99])
    def test_quantiles_of_the_response(self, table: str, law: str, p: int) -> None:
        rows, name = of(table, law), f"r_p{p}"
        few, heavy = rows["servers"] <= 2, (law == "lognormal") & (rows["service_scv"] > 1)
        share = np.where(heavy & few, 0.11, np.where(heavy & (p == 99), 0.055, 0.035))
        self.assert_quantiles(rows, law, name, share * rows[name] + CHANCE * rows[f"{name}_se"])

    def assert_quantiles(self, rows: dict[str, Array], law: str, name: str, allowed: Array) -> None:
        # above 0.95 the simulated quantiles have too long a memory for their standard errors
        steady = rows["utilization"] <= 0.95
        ours = computed(rows, law, name)[steady]
        assert_within(ours, {key: column[steady] for key, column in rows.items()}, name, allowed[steady])


def test_the_table_is_what_its_generator_simulates() -> None:
    """One case again, with another seed and so other chance."""
    rows = of("mgc", "gamma")
    chosen = (rows["service_scv"] == 0.5) & (rows["servers"] == 2) & (rows["utilization"] == 0.7)
    again = dict(zip(COLUMNS, measure("gamma", 0.5, 2, 0.7, seed=99_999, count=5_000), strict=True))
    for name in ("waiting_time", "wait_probability", "w_p90", "w_p95", "r_p50", "r_p95"):
        chance = math.hypot(float(rows[f"{name}_se"][chosen][0]), again[f"{name}_se"])
        assert abs(again[name] - float(rows[name][chosen][0])) < 4 * chance


def test_the_law_matters_beside_the_spread() -> None:
    case = {"servers": 12, "arrival_rate": 9.0, "service_time": 1.0, "service_scv": 3.0}
    waits = {law: queueing.mgc_waiting_time(**case, service_law=law) for law in ("lognormal", "gamma")}
    assert waits["gamma"] > 1.15 * waits["lognormal"]


# --- what is known exactly


@every_law
def test_one_server_is_pollaczek_and_khinchine(law: str) -> None:
    load, scv = np.meshgrid(np.linspace(0.01, 0.99, 9), [0.0, 0.3, 1.0, 2.0, 4.0])
    case = {"servers": 1, "arrival_rate": load / 0.25, "service_time": 0.25, "service_scv": scv, "service_law": law}
    exact = load * (1 + scv) / 2 * 0.25 / (1 - load)
    np.testing.assert_allclose(queueing.mgc_waiting_time(**case), exact, rtol=1e-12)
    np.testing.assert_allclose(queueing.mgc_wait_probability(**case), load, rtol=1e-12)


def test_a_gamma_law_of_scv_1_is_exponential() -> None:
    servers, utilization = np.meshgrid([1.0, 2.0, 20.0, 100.0, 250.0], [0.1, 0.5, 0.9, 0.99, 1.2])
    case = {"servers": servers, "arrival_rate": servers * utilization / 0.25, "service_time": 0.25}
    gamma = case | {"service_scv": 1.0, "service_law": "gamma"}
    np.testing.assert_allclose(queueing.mgc_waiting_time(**gamma), queueing.mmc_waiting_time(**case), rtol=4e-3)
    np.testing.assert_allclose(
        queueing.mgc_wait_probability(**gamma), queueing.mmc_wait_probability(**case), rtol=1e-12
    )
    for name in ("waiting", "response"):
        ours = getattr(queueing, f"mgc_{name}_time_quantile")(0.95, **gamma)
        exact = getattr(queueing, f"mmc_{name}_time_quantile")(0.95, **case)
        np.testing.assert_allclose(ours, exact, rtol=8e-3)
        np.testing.assert_allclose(ours[:, 0], exact[:, 0], rtol=5e-4)  # one server: nothing but the quadrature


@pytest.mark.parametrize("servers", [2, 3, 5, 13, 33, 77, 150, 250])
def test_constant_times_are_crommelins(servers: int) -> None:
    for utilization in (0.08, 0.37, 0.62, 0.83, 0.91, 0.97):
        load = servers * utilization
        case = {"servers": servers, "arrival_rate": load, "service_time": 1.0, "service_scv": 0.0}
        if queueing.mmc_wait_probability(servers=servers, arrival_rate=load, service_time=1.0) < 1e-6:
            continue
        waits, mean = deterministic(servers, utilization)
        assert queueing.mgc_wait_probability(**case) == pytest.approx(waits, rel=8e-3)
        assert queueing.mgc_waiting_time(**case) == pytest.approx(mean, rel=3e-3)


def test_the_exact_values_for_constant_times_are_crommelins() -> None:
    """By the roots of his equation, another method: z = w exp(a(z - 1)/c) for every c-th root of unity w."""
    for servers, utilization in ((2, 0.7), (5, 0.5), (8, 0.9), (20, 0.8)):
        load = servers * utilization
        unity = np.exp(2j * np.pi * np.arange(1, servers) / servers)
        z = 0.5 * unity
        for _ in range(2000):
            z = unity * np.exp(load * (z - 1) / servers)
        queue = (load**2 - servers * (servers - 1)) / (2 * (servers - load)) + (1 / (1 - z)).sum().real
        assert deterministic(servers, utilization)[1] == pytest.approx(queue / load, rel=1e-9)


@every_law
def test_at_light_load_those_who_wait_do_so_for_the_first_residual_time(law: str) -> None:
    for servers, scv in ((2, 0.0), (3, 0.6), (7, 2.2), (20, 0.3), (40, 3.7)):
        load = 1e-3 * servers
        case = {"servers": servers, "arrival_rate": load, "service_time": 1.0, "service_scv": scv, "service_law": law}
        late = queueing.mgc_waiting_time(**case) / queueing.mmc_wait_probability(**case_of_mmc(case))
        assert late == pytest.approx(first_residual(servers, scv, law)[0], rel=0.015)


def case_of_mmc(case: dict[str, object]) -> dict[str, object]:
    return {name: case[name] for name in ("servers", "arrival_rate", "service_time")}


@every_law
def test_near_saturation_the_spread_alone_counts(law: str) -> None:
    for servers, scv in ((2, 0.0), (9, 0.5), (40, 4.0), (250, 2.0)):
        case = {"servers": servers, "arrival_rate": servers * (1 - 1e-7), "service_time": 1.0, "service_scv": scv}
        factor = queueing.mgc_waiting_time(**case, service_law=law) / queueing.mmc_waiting_time(**case_of_mmc(case))
        assert factor == pytest.approx((1 + scv) / 2, rel=1e-3)


@pytest.mark.parametrize("spread", [0.5001, 0.6, 0.9, 1.0, 1.3, 2.5, 4.0])
def test_two_exponentials_have_the_moments_of_a_gamma_law(spread: float) -> None:
    x = np.linspace(0.0, 300.0, 600_001)
    tail = _general.late_tail(x, np.full(x.shape, spread))
    assert tail[0] == 1.0
    assert (np.diff(tail) <= 0).all()
    moments = [np.trapezoid(n * x ** (n - 1) * tail, x) for n in (1, 2, 3)]
    exact = [1.0, 1 + spread, (1 + spread) * (1 + 2 * spread)]
    np.testing.assert_allclose(moments, exact, rtol=1e-4)


@every_law
@pytest.mark.parametrize("scv", [0.02, 0.5, 0.8, 1.0, 3.9])
def test_the_response_is_the_convolution_of_wait_and_service(law: str, scv: float) -> None:
    """By a sum over a sorted sample's exact quantiles in place of Gauss and Legendre."""
    from scipy.special import gammaincinv, ndtri

    at = (np.arange(200_000) + 0.5) / 200_000
    spread = math.log1p(scv)
    sample = (
        np.exp(math.sqrt(spread) * ndtri(at) - spread / 2) if law == "lognormal" else scv * gammaincinv(1 / scv, at)
    )
    for servers, utilization, p in ((2, 0.9, 0.5), (20, 0.8, 0.95), (100, 0.95, 0.99), (250, 0.6, 0.95)):
        case = {"servers": servers, "arrival_rate": servers * utilization, "service_time": 1.0, "service_scv": scv}
        found = queueing.mgc_response_time_quantile(p, **case, service_law=law)
        waits, late, varies, _ = _general.queue(*(np.array([float(v)]) for v in case.values()), law)
        left = np.maximum(found - sample, 0.0) / late
        tail = np.where(sample > found, 1.0, waits * _general.late_tail(left, varies)).mean()
        assert tail == pytest.approx(1 - p, rel=2e-3)


# --- edges and shape

POOL = {"servers": 20, "arrival_rate": 64.0, "service_time": 0.25, "service_scv": 2.0}


def every_quantity(**changes: object) -> list[float]:
    case = POOL | changes
    return [
        queueing.mgc_wait_probability(**case),
        queueing.mgc_waiting_time(**case),
        queueing.mgc_waiting_time_quantile(0.95, **case),
        queueing.mgc_response_time_quantile(0.95, **case),
    ]


@every_law
def test_what_has_not_been_measured_is_nan(law: str) -> None:
    for changes in ({"service_scv": 4.0001}, {"service_scv": -0.1}, {"servers": 251}, {"service_scv": math.inf}):
        assert np.isnan(every_quantity(**changes, service_law=law)).all()
    for changes in ({"service_scv": 4.0}, {"servers": MOST_SERVERS}, {"service_scv": 0.0}):
        assert np.isfinite(every_quantity(**changes, service_law=law)).all()


@every_law
def test_saturation_is_endless_and_an_empty_pool_serves_at_once(law: str) -> None:
    for changes in (
        {"arrival_rate": 80.0},
        {"arrival_rate": 300.0},
        {"servers": 0},
        {"servers": 0, "arrival_rate": 0.0},
    ):
        assert every_quantity(**changes, service_law=law) == [1.0, math.inf, math.inf, math.inf]
    *none, response = every_quantity(arrival_rate=0.0, service_law=law)
    assert none == [0.0, 0.0, 0.0]
    alone = queueing.mgc_response_time_quantile(0.95, **POOL | {"servers": 250, "arrival_rate": 1e-9}, service_law=law)
    assert response == pytest.approx(alone, rel=1e-9)
    assert every_quantity(service_time=0.0, service_law=law) == [0.0, 0.0, 0.0, 0.0]
    assert every_quantity(arrival_rate=0.0, service_scv=0.0, service_law=law) == [0.0, 0.0, 0.0, 0.25]


def test_the_ends_of_p() -> None:
    for name in ("waiting", "response"):
        quantile = getattr(queueing, f"mgc_{name}_time_quantile")
        ends = quantile([0.0, 1.0, -0.1, 1.1], **POOL)
        assert ends[0] == 0.0
        assert ends[1] == math.inf
        assert np.isnan(ends[2:]).all()
    empty = POOL | {"arrival_rate": 0.0}
    assert queueing.mgc_waiting_time_quantile(1.0, **empty) == 0.0
    assert queueing.mgc_response_time_quantile(1.0, **empty) == math.inf
    assert queueing.mgc_response_time_quantile(1.0, **empty | {"service_scv": 0.0}) == 0.25


@pytest.mark.parametrize("name", queueing.general.__all__)
def test_an_unknown_law_is_refused(name: str) -> None:
    leading = (0.9,) if name.endswith("quantile") else ()
    with pytest.raises(ValueError, match="service_law must be one of 'lognormal', 'gamma'; got 'weibull'"):
        getattr(queueing, name)(*leading, **POOL, service_law="weibull")


@every_law
def test_more_load_more_spread_and_fewer_servers_wait_longer(law: str) -> None:
    loads, spreads, servers = np.linspace(0.02, 0.995, 60), np.linspace(0, 4, 41), np.arange(1.0, 60.0)
    case = {"servers": 20, "arrival_rate": 17.0, "service_time": 1.0, "service_scv": 2.0, "service_law": law}
    for c in (1, 2, 6, 30, 250):
        wait = queueing.mgc_waiting_time(
            **case | {"servers": c, "arrival_rate": c * loads[:, None], "service_scv": spreads}
        )
        assert (np.diff(wait, axis=0) > 0).all()
        # where next to nobody waits, the fitted limits are no better than 0.4 %
        assert (np.diff(wait, axis=1)[wait[:, :-1] > 1e-3] > 0).all()
        for scv in (0.0, 0.4, 1.0, 4.0):
            rows = case | {"servers": c, "arrival_rate": c * loads, "service_scv": scv}
            assert (np.diff(queueing.mgc_wait_probability(**rows)) > 0).all()
            for name in ("waiting", "response"):
                times = getattr(queueing, f"mgc_{name}_time_quantile")(0.95, **rows)
                assert (np.diff(times) >= -1e-9).all()
    assert (np.diff(queueing.mgc_waiting_time(**case | {"servers": servers, "arrival_rate": 0.9})) < 0).all()
    times = queueing.mgc_response_time_quantile(np.linspace(0.001, 0.999, 99), **case)
    assert (np.diff(times) > 0).all()


@every_law
def test_a_spread_next_to_nothing_is_a_constant_time(law: str) -> None:
    cases = POOL | {"service_scv": [0.0, 1e-9, 1e-6], "service_law": law}
    times = queueing.mgc_response_time_quantile(0.95, **cases)
    np.testing.assert_allclose(times, times[0], rtol=1e-3)


def test_the_stated_range_is_that_of_the_fit() -> None:
    assert (_general_table.MOST_SERVERS, _general_table.LARGEST_SCV) == (MOST_SERVERS, 4.0)
