import pytest

from capacity.errors import InvalidInput
from capacity.pool import PoolSettings

DYNAMIC = {"pm": "dynamic", "max_children": 20, "min_spare_servers": 2, "max_spare_servers": 6}
WITH_START = {**DYNAMIC, "start_servers": 4}


def problems(**fields):
    with pytest.raises(InvalidInput) as caught:
        PoolSettings(**fields)
    return [str(problem) for problem in caught.value.problems]


def test_the_case_study_pool_is_valid():
    pool = PoolSettings(**WITH_START, max_requests=1000)
    assert (pool.max_children, pool.start_servers, pool.min_spare_servers, pool.max_spare_servers) == (20, 4, 2, 6)


@pytest.mark.parametrize(("least", "most", "start"), [(2, 6, 4), (2, 5, 3), (3, 3, 3), (1, 2, 1), (1, 20, 10)])
def test_start_servers_left_out_are_what_fpm_takes(least, most, start):
    # fpm_conf.c: min + (max - min) / 2 in integers
    pool = PoolSettings(pm="dynamic", max_children=20, min_spare_servers=least, max_spare_servers=most)
    assert pool.start_servers == start


@pytest.mark.parametrize("pm", ["static", "ondemand"])
@pytest.mark.parametrize("left_over", [4, 0, -3, 10**9])
def test_spare_settings_fpm_does_not_look_at_are_dropped(pm, left_over):
    pool = PoolSettings(
        pm=pm, max_children=2, start_servers=left_over, min_spare_servers=left_over, max_spare_servers=left_over
    )
    assert (pool.start_servers, pool.min_spare_servers, pool.max_spare_servers) == (None, None, None)


def test_every_edge_of_the_chain_may_touch():
    pool = PoolSettings(pm="dynamic", max_children=1, min_spare_servers=1, max_spare_servers=1, start_servers=1)
    assert pool.start_servers == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_spare_servers": 0}, "min_spare_servers must be at least 1; got 0"),
        ({"max_spare_servers": 1}, "max_spare_servers must be at least min_spare_servers, 2; got 1"),
        ({"max_spare_servers": 21}, "max_spare_servers must be at most max_children, 20; got 21"),
        ({"start_servers": 1}, "start_servers must be at least min_spare_servers, 2; got 1"),
        ({"start_servers": 7}, "start_servers must be at most max_spare_servers, 6; got 7"),
        ({"start_servers": 0}, "start_servers must be at least 1; got 0"),
        ({"min_spare_servers": None}, "min_spare_servers is missing (a dynamic pool needs it)"),
        ({"max_spare_servers": None}, "max_spare_servers is missing (a dynamic pool needs it)"),
        ({"max_children": 0}, "max_children must be at least 1; got 0"),
        ({"max_children": 5}, "max_spare_servers must be at most max_children, 5; got 6"),
        ({"max_children": 2**31}, "max_children must be at most 4194304; got 2147483648"),
        ({"max_children": True}, "max_children must be a whole number; got True"),
        ({"max_children": 20.5}, "max_children must be a whole number; got 20.5"),
        ({"max_children": "20"}, "max_children must be a whole number; got '20' (such as 20, without quotes)"),
        ({"pm": "Dynamic"}, "pm must be 'static', 'dynamic' or 'ondemand'; got 'Dynamic'"),
        ({"max_requests": -1}, "max_requests must be at least 0; got -1"),
        ({"max_spawn_rate": 0}, "max_spawn_rate must be at least 1; got 0"),
        ({"listen_backlog": -2}, "listen_backlog must be at least -1; got -2"),
        ({"process_idle_timeout": 0}, "process_idle_timeout must be at least 1 s; got 0"),
        (
            {"request_terminate_timeout": "500ms"},
            "request_terminate_timeout must be a whole number of seconds; got '500ms' "
            "(or text with its unit, such as 30s)",
        ),
        (
            {"request_terminate_timeout": "30"},
            "request_terminate_timeout wants a number and a unit, such as 250ms; got '30'",
        ),
        ({"max_childrn": 3}, "max_childrn is not a known field (did you mean max_children?)"),
    ],
)
def test_a_broken_rule_is_named_with_the_value(change, message):
    assert problems(**{**WITH_START, **change}) == [message]


def test_all_broken_rules_are_named_at_once():
    assert problems(
        pm="dynamic",
        max_children=10,
        start_servers=30,
        min_spare_servers=11,
        max_spare_servers=9,
        max_requests=-1,
    ) == [
        "min_spare_servers must be at most max_children, 10; got 11",
        "start_servers must be at most max_spare_servers, 9; got 30",
        "max_requests must be at least 0; got -1",
    ]


def test_a_dynamic_pool_without_spares_misses_both():
    assert problems(pm="dynamic", max_children=10) == [
        "min_spare_servers is missing (a dynamic pool needs it)",
        "max_spare_servers is missing (a dynamic pool needs it)",
    ]


def test_the_smallest_pool_needs_only_its_manager_and_its_limit():
    assert problems() == [
        "pm is missing (process manager of the pool, such as dynamic)",
        "max_children is missing (most workers at a time, such as 20)",
    ]
    assert PoolSettings(pm="static", max_children=1).max_requests is None


def test_times_are_whole_seconds_and_may_carry_their_unit():
    pool = PoolSettings(pm="ondemand", max_children=5, process_idle_timeout="10s", request_terminate_timeout="2min")
    assert (pool.process_idle_timeout, pool.request_terminate_timeout) == (10, 120)
    assert type(pool.process_idle_timeout) is int


def test_a_changed_copy_is_checked():
    pool = PoolSettings(**WITH_START)
    assert pool.model_copy(update={"max_children": 6}).max_children == 6
    with pytest.raises(InvalidInput, match="max_spare_servers must be at most max_children, 5; got 6"):
        pool.model_copy(update={"max_children": 5})


def test_a_dynamic_pool_made_static_forgets_its_spares():
    static = PoolSettings(**WITH_START).model_copy(update={"pm": "static"})
    assert static == PoolSettings(pm="static", max_children=20)


@pytest.mark.parametrize("workers", [1, 2, 7, 19, 20, 21, 400, 2**22])
def test_another_size_keeps_the_proportions_and_what_fpm_accepts(workers):
    pool = PoolSettings(
        pm="dynamic", max_children=20, start_servers=4, min_spare_servers=2, max_spare_servers=20, listen_backlog=64
    )
    other = pool.resized(workers)
    spares = (other.start_servers, other.min_spare_servers, other.max_spare_servers)
    assert all(abs(then - now * workers / 20) <= 1 for then, now in zip(spares, (4, 2, 20), strict=True))
    assert 1 <= spares[1] <= spares[0] <= spares[2] <= other.max_children == workers
    assert other.listen_backlog == 64
    assert pool.resized(20) == pool
    assert PoolSettings(pm="ondemand", max_children=20).resized(workers) == PoolSettings(
        pm="ondemand", max_children=workers
    )
