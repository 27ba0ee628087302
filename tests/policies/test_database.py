from __future__ import annotations

import numpy as np
import pytest

from capacity import Host, Scenario, Worker
from capacity.policies import database
from capacity.table import take


def columns(connections, reserved=0, each=1):
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (connections, reserved, each)))
    names = ("host.database_connections", "host.database_connections_reserved", "worker.database_connections")
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    ("connections", "reserved", "each", "workers"),
    [
        (151, 0, 1, 151),  # MySQL's default max_connections
        (151, 10, 1, 141),
        (100, 3, 4, 24),  # PostgreSQL's defaults: 100, of which 3 for superusers
        (400, 0, 4, 100),  # "100 workers x 4 = 400 connections", as capacity notes put it
        (3, 0, 4, 0),
        (np.nan, 0, 1, np.inf),
        (np.nan, 0, 0, np.inf),
        (151, 0, 0, np.inf),
    ],
)
def test_every_worker_must_get_its_connections(connections, reserved, each, workers):
    with np.errstate(all="ignore"):
        assert database.limit(columns(connections, reserved, each)).tolist() == [workers]


def test_the_limit_is_connected_and_one_worker_more_is_not():
    rng = np.random.default_rng(3)
    connections = rng.integers(1, 2000, 500)
    reserved, each = rng.integers(0, connections), rng.integers(1, 9, 500)
    workers = database.limit(columns(connections, reserved, each))
    assert (workers * each <= connections - reserved).all()
    assert ((workers + 1) * each > connections - reserved).all()


def test_what_is_reserved_is_not_available():
    assert database.available(columns([151, np.nan], 10))[0] == 141
    assert np.isnan(database.available(columns(np.nan, 10))).all()


def test_a_row_does_not_know_its_neighbours():
    rng = np.random.default_rng(4)
    table = columns(np.where(rng.random(100) < 0.3, np.nan, rng.integers(20, 500, 100)), 5, rng.integers(0, 4, 100))
    together = database.limit(table)  # zeros among the divisors, and no warning
    alone = [database.limit(take(table, np.array([row])))[0] for row in range(100)]
    assert together.tobytes() == np.array(alone).tobytes()


def scenario(each=1, **host):
    return Scenario.example().model_copy(
        update={
            "host": Host(ram="4GiB", reserved="1.5GiB", cpus=4, **host),
            "worker": Worker(memory="64MiB", database_connections=each),
        }
    )


def test_the_reason_names_connections_reserve_and_workers():
    text = database.explain(scenario(each=2, database_connections=151, database_connections_reserved=11), 70.0)
    for part in ("151 database connections", "11 reserved", "2 for each worker", "70 workers"):
        assert part in text
    assert "pm." not in text


def test_the_reason_says_why_there_is_no_limit():
    assert "not given" in database.explain(scenario(), np.inf)
    assert "holds no database connection" in database.explain(scenario(each=0, database_connections=151), np.inf)
