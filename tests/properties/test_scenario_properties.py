from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import InvalidInput, UnreadableFile
from capacity.inputs import Host, Objective, Worker, Workload
from capacity.pool import MOST_PROCESSES, PoolSettings
from capacity.scenario import CASE_STUDY, Scenario
from capacity.sources import Source

COUNTS = st.integers(1, 2**31 - 1)
TIMES = st.floats(0, 1e6)
POSITIVE = st.floats(1e-9, 1e6)
WORKERS = st.integers(1, MOST_PROCESSES)
FRACTIONS = st.floats(0, 1, exclude_min=True, exclude_max=True)
BUSY = st.floats(0.01, 1, exclude_max=True)


def optional(values):
    return st.none() | values


@st.composite
def hosts(draw):
    ram = draw(st.integers(1, 2**53))
    connections = draw(optional(COUNTS))
    return Host(
        ram=ram,
        reserved=draw(st.integers(0, ram - 1)),
        cpus=draw(st.floats(1e-9, 65536)),
        database_connections=connections,
        database_connections_reserved=draw(st.integers(0, connections - 1)) if connections else 0,
    )


@st.composite
def workloads(draw):
    service_time = draw(POSITIVE)
    users = draw(optional(COUNTS))
    return Workload(
        service_time=service_time,
        cpu_time=draw(optional(st.floats(0, service_time))),
        database_time=draw(optional(st.floats(0, service_time))),
        service_scv=draw(TIMES),
        users=users,
        think_time=draw(TIMES if users else optional(TIMES)),
        arrival_rate=None if users else draw(optional(TIMES)),
        requests_per_click=draw(POSITIVE),
    )


@st.composite
def pools(draw):
    pm = draw(st.sampled_from(["static", "dynamic", "ondemand"]))
    least, start, most, children = sorted(draw(st.tuples(WORKERS, WORKERS, WORKERS, WORKERS)))
    return PoolSettings(
        pm=pm,
        max_children=children,
        start_servers=draw(optional(st.just(start))),
        min_spare_servers=least,
        max_spare_servers=most,
        max_requests=draw(optional(st.integers(0, 10**6))),
        listen_backlog=draw(optional(st.integers(-1, 10**6))),
        request_terminate_timeout=draw(optional(st.integers(0, 10**6))),
    )


SCENARIOS = st.builds(
    Scenario,
    host=hosts(),
    worker=st.builds(Worker, memory=st.integers(1, 2**53), shared_memory=st.integers(0, 2**53)),
    workload=workloads(),
    objective=st.builds(
        Objective,
        response_time=optional(POSITIVE),
        percentile=FRACTIONS,
        max_utilization=BUSY,
        apdex_time=POSITIVE,
        apdex=optional(FRACTIONS),
    ),
    pool=optional(pools()),
    headroom=st.floats(1, 100),
    spares=st.sampled_from(["proportional", "burst"]),
    load_before_step=st.floats(0, 1),
    step_waiting_time=POSITIVE,
    process_manager=st.sampled_from(["keep", "auto"]),
    process_max=optional(COUNTS),
    web_server_timeout=POSITIVE,
    sources=st.dictionaries(
        st.sampled_from(["host.ram", "workload.service_time", "policy.headroom"]),
        st.builds(Source, source=st.text(min_size=1), samples=optional(COUNTS), low=optional(TIMES)),
    ),
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["64MiB", "250ms", "120/s", "dynamic", "1e400", 10**400])
)
GARBAGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=8
)
FIELDS = sorted({name for model in (Host, Worker, Workload, Objective, PoolSettings) for name in model.model_fields})
TABLES = [*CASE_STUDY, "objective", "policy", "sources"]


@given(SCENARIOS)
def test_a_scenario_round_trips_through_its_mapping(scenario):
    assert Scenario.from_mapping(scenario.to_mapping()) == scenario


@given(SCENARIOS)
def test_a_scenario_round_trips_through_json(scenario):
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


@given(pools())
def test_a_pool_that_exists_satisfies_fpm(pool):
    chain = (pool.min_spare_servers, pool.start_servers, pool.max_spare_servers)
    if pool.pm == "dynamic":
        assert 1 <= chain[0] <= chain[1] <= chain[2] <= pool.max_children
    else:
        assert chain == (None, None, None)


def refusal(build, given_):
    """The error `build` refuses with, or None; anything but our own errors escapes."""
    try:
        build(given_)
    except (InvalidInput, UnreadableFile) as error:
        return error
    return None


def only_invalid_input(build, given_):
    error = refusal(build, given_)
    if error is not None:
        assert error.problems
        assert all("\n" not in str(problem) and len(str(problem)) < 500 for problem in error.problems)


@given(GARBAGE)
def test_garbage_only_ever_raises_invalid_input(garbage):
    for build in (Scenario.from_mapping, Scenario.model_validate, Host.model_validate):
        only_invalid_input(build, garbage)


@given(
    st.dictionaries(st.sampled_from(TABLES), GARBAGE | st.dictionaries(st.sampled_from(FIELDS) | st.text(), GARBAGE))
)
def test_garbage_in_known_tables_only_ever_raises_invalid_input(tables):
    only_invalid_input(Scenario.from_mapping, tables)
    only_invalid_input(Scenario.from_mapping, {**CASE_STUDY, **tables})
    only_invalid_input(lambda fields: Scenario(**fields), tables)


@given(st.text() | st.text("[]{}=.\"'#\n ab019-:T"))
def test_garbage_toml_only_ever_raises_invalid_input(text):
    only_invalid_input(Scenario.from_toml_text, text)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_garbage_json_only_ever_raises_invalid_input(text):
    only_invalid_input(Scenario.model_validate_json, text)


@given(st.binary())
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.toml"
    path.write_bytes(content)
    message = str(refusal(Scenario.from_toml, path))
    assert str(path) in message or "host.ram is missing" in message


@given(st.text())
def test_no_path_raises_anything_but_an_unreadable_file(path):
    error = refusal(Scenario.from_toml, "/nonexistent/" + path)
    assert isinstance(error, UnreadableFile)
    assert "\n" not in str(error)
