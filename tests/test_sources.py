import pytest

from capacity.errors import InvalidInput
from capacity.sources import Source, read_sources

UNITS = {"host.ram": "byte", "workload.service_time": "s", "policy.spares": ""}
FREE = {"source": "free -b"}


def problems(tables):
    with pytest.raises(InvalidInput) as caught:
        read_sources(tables, UNITS)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("tables", [{"host.ram": FREE}, {"host": {"ram": FREE}}, {"host.ram": Source(**FREE)}])
def test_a_field_is_named_by_dots_or_by_tables(tables):
    assert read_sources(tables, UNITS) == {"host.ram": Source(source="free -b")}


def test_text_in_low_and_high_has_the_unit_of_the_field():
    sources = read_sources(
        {
            "host.ram": {**FREE, "low": "3GiB", "high": 2**32},
            "workload": {"service_time": {"source": "log", "samples": 9, "low": "300ms", "high": 0.3}},
        },
        UNITS,
    )
    assert sources == {
        "host.ram": Source(source="free -b", low=3 * 2**30, high=2**32),
        "workload.service_time": Source(source="log", samples=9, low=0.3, high=0.3),
    }


def test_every_wrong_entry_is_named_at_once():
    assert problems(
        {
            "host.rma": FREE,
            "host": {"ram": {"source": "", "low": 2, "high": 1}},
            "workload.service_time": {"source": "log", "low": "3GiB"},
            "policy.spares": 3,
            7: FREE,
        }
    ) == [
        "host.rma is not a known field (did you mean host.ram?)",
        "host.ram.source must not be empty; got ''",
        "host.ram.high must not be below low; got 1",
        "workload.service_time.low wants a number and a unit, such as 250ms; got '3GiB' (units are us, ms, s, min, h)",
        "policy.spares must be a table of fields; got 3",
        "7 is not a known field (known: host.ram, workload.service_time, policy.spares)",
    ]


def test_a_source_says_at_least_who():
    assert problems({"host.ram": {}}) == ["host.ram.source is missing (where the value comes from, such as access log)"]


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, "3"])
def test_samples_are_counted(samples):
    (problem,) = problems({"host.ram": {**FREE, "samples": samples}})
    assert problem.startswith("host.ram.samples must be ")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "host.ram.source must be text; got 3"),
        (None, "host.ram.source must be text; got None"),
        ("\ud800", "host.ram.source is not valid: Input should be a valid string"),
    ],
)
def test_a_source_is_text(source, message):
    (problem,) = problems({"host.ram": {"source": source}})
    assert problem.startswith(message)
