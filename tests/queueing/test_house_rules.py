"""What every queueing function has in common: shapes, types, NaN, and no exception on a value."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from capacity import queueing

OPEN = {"servers": 4, "arrival_rate": 3.0, "service_time": 0.9}
LIMITED = OPEN | {"backlog": 6}
GENERAL = OPEN | {"service_scv": 2.0}
FINITE = {"servers": 4, "population": 20, "think_time": 3.0, "service_time": 0.9}
GENERAL_FINITE = FINITE | {"service_scv": 2.0}
CONNECTED = {"connections": 4, "database_time": 0.3}
POOL = {"servers": 6, "cores": 2.0, "cpu_time": 0.25, "service_time": 0.9} | CONNECTED
MEANS = ("throughput", "utilization", "wait_probability", "waiting_time", "response_time")

FUNCTIONS: dict[str, dict[str, float]] = {
    "erlang_b": {"servers": 4, "offered_load": 2.7},
    "erlang_c": {"servers": 4, "offered_load": 2.7},
    **{f"mmc_{q}": OPEN for q in ("wait_probability", "waiting_time", "response_time", "queue_length")},
    **{f"mmc_{q}_time_tail": {"t": 0.7} | OPEN for q in ("waiting", "response")},
    **{f"mmc_{q}_time_quantile": {"p": 0.9} | OPEN for q in ("waiting", "response")},
    **{f"mmck_{q}": LIMITED for q in ("blocking_probability", "throughput", "waiting_time", "response_time")},
    "mmck_waiting_time_tail": {"t": 0.7} | LIMITED,
    "mmck_response_time_tail": {"t": 0.7} | LIMITED,
    **{f"mgc_{q}": GENERAL for q in ("wait_probability", "waiting_time")},
    **{f"mgc_{q}_time_quantile": {"p": 0.9} | GENERAL for q in ("waiting", "response")},
    **{f"mgc_finite_{q}": GENERAL_FINITE for q in ("throughput", "wait_probability", "waiting_time")},
    "mgc_finite_response_time_quantile": {"p": 0.9} | GENERAL_FINITE,
    **{f"finite_{q}": FINITE for q in MEANS},
    **{f"finite_{q}_time_tail": {"t": 0.7} | FINITE for q in ("waiting", "response")},
    **{f"finite_{q}_time_quantile": {"p": 0.9} | FINITE for q in ("waiting", "response")},
    "shared_cores_throughput": {"workers": 6, **CONNECTED, "cores": 2.0, "cpu_time": 0.25, "service_time": 0.9},
    **{f"shared_{q}": POOL | {"arrival_rate": 4.0} for q in MEANS},
    "shared_response_time_quantile": {"p": 0.9} | POOL | {"arrival_rate": 4.0},
    **{f"shared_finite_{q}": POOL | {"population": 20, "think_time": 3.0} for q in MEANS},
    "shared_finite_response_time_quantile": {"p": 0.9} | POOL | {"population": 20, "think_time": 3.0},
    "servers_for_wait_probability": {"wait_probability": 0.2, "arrival_rate": 3.0, "service_time": 0.9},
    "servers_for_waiting_time_quantile": {"p": 0.9, "waiting_time": 0.4, "arrival_rate": 3.0, "service_time": 0.9},
    "servers_for_response_time_quantile": {"p": 0.9, "response_time": 2.5, "arrival_rate": 3.0, "service_time": 0.9},
    "arrival_rate_for_wait_probability": {"wait_probability": 0.2, "servers": 4, "service_time": 0.9},
    "arrival_rate_for_waiting_time_quantile": {"p": 0.9, "waiting_time": 0.4, "servers": 4, "service_time": 0.9},
    "arrival_rate_for_response_time_quantile": {"p": 0.9, "response_time": 2.5, "servers": 4, "service_time": 0.9},
    "population_for_wait_probability": {"wait_probability": 0.2, "servers": 4, "think_time": 3.0, "service_time": 0.9},
    "population_for_response_time_quantile": {
        "p": 0.9, "response_time": 2.5, "servers": 4, "think_time": 3.0, "service_time": 0.9,
    },
    "offered_load": {"arrival_rate": 3.0, "service_time": 0.9},
}  # fmt: skip

every_function = pytest.mark.parametrize("name", list(FUNCTIONS))
every_argument = pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, case in FUNCTIONS.items() for argument in case]
)


def call(name: str, **inputs: object) -> object:
    return getattr(queueing, name)(**inputs)


@every_function
def test_a_scalar_in_is_a_python_float_out(name: str) -> None:
    value = call(name, **FUNCTIONS[name])
    assert type(value) is float
    assert math.isfinite(value)
    assert type(call(name, **{k: np.float64(v) for k, v in FUNCTIONS[name].items()})) is float


@every_argument
def test_nan_propagates_from_every_argument(name: str, argument: str) -> None:
    value = call(name, **FUNCTIONS[name] | {argument: math.nan})
    assert type(value) is float
    assert math.isnan(value)
    mixed = call(name, **FUNCTIONS[name] | {argument: [FUNCTIONS[name][argument], math.nan]})
    assert np.isnan(mixed).tolist() == [False, True]


@every_argument
def test_a_negative_value_of_any_argument_gives_nan(name: str, argument: str) -> None:
    assert math.isnan(call(name, **FUNCTIONS[name] | {argument: -1.0}))
    assert math.isnan(call(name, **FUNCTIONS[name] | {argument: -math.inf}))


@every_argument
def test_a_fractional_count_gives_nan(name: str, argument: str) -> None:
    if argument in ("servers", "workers", "population", "backlog"):
        assert math.isnan(call(name, **FUNCTIONS[name] | {argument: FUNCTIONS[name][argument] + 0.5}))


@every_argument
def test_no_value_raises_or_warns(name: str, argument: str) -> None:
    values = [0.0, -0.0, 5e-324, 1e-300, 1e-9, 1.0, 2.0, math.inf, -math.inf, math.nan]
    result = call(name, **FUNCTIONS[name] | {argument: values})
    assert result.shape == (len(values),)
    assert result.dtype == np.float64
    # One count less or huge rates: counts themselves stay small here, so that nobody has to sum over 1e300 states.
    if argument not in ("population", "backlog", "servers", "workers"):
        call(name, **FUNCTIONS[name] | {argument: [1e9, 1e300, 1.7e308]})


@every_argument
def test_an_array_of_one_argument_broadcasts_against_scalars(name: str, argument: str) -> None:
    case = FUNCTIONS[name]
    value = call(name, **case | {argument: np.full((2, 3), case[argument])})
    assert value.shape == (2, 3)
    assert (value == call(name, **case)).all()


@every_function
def test_arrays_broadcast_against_each_other(name: str) -> None:
    case = FUNCTIONS[name]
    first, second = list(case)[:2]
    value = call(name, **case | {first: np.full((3, 1), case[first]), second: np.full(4, case[second])})
    assert value.shape == (3, 4)
    assert value.dtype == np.float64
    assert (value == call(name, **case)).all()


@every_function
def test_an_array_without_elements_comes_back_without_elements(name: str) -> None:
    case = FUNCTIONS[name]
    first = next(iter(case))
    value = call(name, **case | {first: np.array([])})
    assert value.shape == (0,)
    assert value.dtype == np.float64


@every_function
def test_integers_lists_and_small_types_count_as_doubles(name: str) -> None:
    whole = {"servers", "workers", "population", "backlog"}
    case = FUNCTIONS[name] | {"service_time": 1, "arrival_rate": 3, "think_time": 3, "t": 1, "response_time": 3}
    case = {k: v for k, v in case.items() if k in FUNCTIONS[name]}
    doubles = call(name, **{k: float(v) for k, v in case.items()})
    assert call(name, **case) == doubles
    assert call(name, **{k: [v] for k, v in case.items()}).tolist() == [doubles]
    small = {k: np.array([v], dtype=np.int8 if k in whole else np.float64) for k, v in case.items()}
    assert call(name, **small).tolist() == [doubles]


@every_function
def test_single_precision_inputs_are_computed_in_double(name: str) -> None:
    single = {k: np.array([v], dtype=np.float32) for k, v in FUNCTIONS[name].items()}
    double = {k: v.astype(np.float64) for k, v in single.items()}
    value = call(name, **single)
    assert value.dtype == np.float64
    assert value.tolist() == call(name, **double).tolist()


@every_function
def test_inputs_are_left_as_they_were(name: str) -> None:
    arrays = {k: np.full(5, float(v)) for k, v in FUNCTIONS[name].items()}
    copies = {k: v.copy() for k, v in arrays.items()}
    result = call(name, **arrays)
    for k, v in arrays.items():
        np.testing.assert_array_equal(v, copies[k])
        assert not np.shares_memory(v, result)
    for v in arrays.values():
        v.flags.writeable = False
    call(name, **arrays)


@every_function
def test_shapes_that_do_not_broadcast_raise(name: str) -> None:
    case = FUNCTIONS[name]
    first, second = list(case)[:2]
    with pytest.raises(ValueError):  # noqa: PT011
        call(name, **case | {first: np.full(2, case[first]), second: np.full(3, case[second])})


@every_argument
@pytest.mark.parametrize(
    "wrong", ["four", None, object(), {"a": 1}, 1 + 1j, ["x"]], ids=lambda wrong: type(wrong).__name__
)
def test_what_is_no_number_raises(name: str, argument: str, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        call(name, **FUNCTIONS[name] | {argument: wrong})


@every_function
def test_arguments_are_keyword_only_except_a_leading_time_or_probability(name: str) -> None:
    case = FUNCTIONS[name]
    function = getattr(queueing, name)
    with pytest.raises(TypeError):
        function(*case.values())
    positional = [
        p.name for p in inspect.signature(function).parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    if name.endswith(("_tail", "_quantile")) and "_for_" not in name:
        assert positional == [next(iter(case))]
        value, *_ = case.values()
        rest = {k: v for k, v in case.items() if k != positional[0]}
        assert function(value, **rest) == function(**case)
        with pytest.raises(TypeError):
            function(*list(case.values())[:2], **dict(list(case.items())[2:]))
    else:
        assert positional in ([], ["p"])


@every_function
def test_a_missing_or_an_unknown_argument_raises(name: str) -> None:
    case = FUNCTIONS[name]
    for argument in case.keys() - CONNECTED.keys():
        with pytest.raises(TypeError):
            call(name, **{k: v for k, v in case.items() if k != argument})
    with pytest.raises(TypeError):
        call(name, **case, rho=0.5)


def test_every_public_formula_of_these_models_is_listed_here() -> None:
    families = ("erlang_b", "erlang_c", "mmc_", "mmck_", "mgc_", "finite_", "shared_")
    inverses = ("servers_for_", "arrival_rate_for_", "population_for_")
    public = {
        name
        for name in dir(queueing)
        if name.startswith((*families, *inverses)) and inspect.isfunction(getattr(queueing, name))
    }
    assert public - {"erlang_c_grid"} == {n for n in FUNCTIONS if n.startswith((*families, *inverses))}
