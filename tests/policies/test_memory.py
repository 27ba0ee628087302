from __future__ import annotations

import numpy as np
import pytest

from capacity import Host, Scenario, Worker
from capacity.policies import memory
from capacity.table import take

MIB, GIB = 2.0**20, 2.0**30


def columns(ram, reserved, private, shared=0.0):
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=float)) for v in (ram, reserved, private, shared)))
    names = ("host.ram", "host.reserved", "worker.memory", "worker.shared_memory")
    return dict(zip(names, values, strict=True))


def random_hosts(rows=500):
    rng = np.random.default_rng(20241124)
    ram = np.floor(2.0 ** rng.uniform(26, 40, rows))
    reserved = np.floor(ram * rng.uniform(0, 1, rows))
    private = np.floor(2.0 ** rng.uniform(18, 31, rows))
    shared = np.floor(2.0 ** rng.uniform(10, 34, rows))
    return columns(ram, reserved, private, shared)


@pytest.mark.parametrize(
    ("ram", "reserved", "private", "shared", "workers"),
    [
        (4 * GIB, 1.5 * GIB, 64 * MIB, 0, 40),  # the case study
        (4 * GIB, 1.5 * GIB, 64 * MIB, 512 * MIB, 32),  # shared memory counts once, not once a worker
        (4 * GIB, 1.5 * GIB + 1, 64 * MIB, 0, 39),  # one byte short of the 40th
        (4 * GIB, 1.5 * GIB, 64 * MIB + 1, 0, 39),
        (3 * GIB, 0, 250 * MIB, 0, 12),  # sclorg/s2i-php-container #416: its default of 50 would take 12.2 GiB
        (1 * GIB, 0, 2 * GIB, 0, 0),
        (1 * GIB, 0.5 * GIB, 64 * MIB, 2 * GIB, 0),  # shared alone is too much: none, not a negative number
    ],
)
def test_workers_are_what_fits_beside_everything_else(ram, reserved, private, shared, workers):
    assert memory.limit(columns(ram, reserved, private, shared)).tolist() == [workers]


def test_the_limit_fits_and_one_worker_more_does_not():
    table = random_hosts()
    workers, budget = memory.limit(table), table["host.ram"] - table["host.reserved"]
    fits = workers > 0
    assert 0 < fits.sum() < fits.size
    # all byte counts are whole and below 2^53, so these products are exact
    assert (memory.worst_case(table, workers)[fits] <= budget[fits]).all()
    assert (memory.worst_case(table, workers + 1) > budget).all()


def test_the_worst_case_counts_shared_memory_once():
    table = columns(4 * GIB, 0, 64 * MIB, 100 * MIB)
    assert memory.worst_case(table, np.array([10.0])).tolist() == [740 * MIB]


def test_a_row_does_not_know_its_neighbours():
    table = random_hosts(200)
    together = memory.limit(table)
    alone = [memory.limit(take(table, np.array([row])))[0] for row in range(200)]
    assert together.tobytes() == np.array(alone).tobytes()


def test_the_reason_names_budget_worker_and_result():
    text = memory.explain(Scenario.example(), 40.0)
    for part in ("4.00 GiB", "1.50 GiB", "2.50 GiB", "40 workers", "64.0 MiB"):
        assert part in text
    assert "shared" not in text
    assert "pm." not in text


def test_the_reason_says_where_shared_memory_went():
    worker = Worker(memory="64MiB", shared_memory="512MiB")
    text = memory.explain(Scenario.example().model_copy(update={"worker": worker}), 32.0)
    for part in ("512 MiB shared", "2.00 GiB", "32 workers"):
        assert part in text


def test_the_reason_never_shows_a_negative_budget():
    host, worker = Host(ram="4GiB", reserved="3.9GiB", cpus=4), Worker(memory="64MiB", shared_memory="1GiB")
    text = memory.explain(Scenario.example().model_copy(update={"host": host, "worker": worker}), 0.0)
    assert "leaves nothing" in text
    assert "0 workers" in text
