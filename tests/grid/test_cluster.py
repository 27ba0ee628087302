"""A grid on a cluster of two workers, one of which is killed half-way: the same answer, in bounded memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster

from benchmarks.machine import peak_memory
from capacity import Scenario, sweep

CASE = Scenario.example()
CELLS = int(float(os.environ.get("CAPACITY_CLUSTER_CELLS", "3e7")))
"""What CI can afford; the run with 1e9 that the documentation tells of is this test with that number."""
MOST_MEMORY = 400 * 2**20  # bytes of a worker, of which an idle one takes 150 MiB; what takes more, its nanny ends
AXES = {
    "users": range(10, 1010, 10),
    "workers": range(1, 101),
    "service_time": np.linspace(0.05, 0.5, CELLS // 10_000),
}
SHARES = [0.05, 0.5, 0.95]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        memory_limit=MOST_MEMORY,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as cluster:
        yield cluster


def left_to_do(cluster: LocalCluster) -> int:
    """Tasks that the scheduler still has to see computed."""
    return sum(task.state in {"waiting", "queued", "processing"} for task in list(cluster.scheduler.tasks.values()))


def test_a_killed_worker_changes_nothing(cluster: LocalCluster) -> None:
    with Client(cluster) as client:
        before = client.run(os.getpid)
        lazy = sweep(
            CASE, AXES, quantity="response_time", over=["workers", "service_time"], quantiles=SHARES, client=client
        )
        assert lazy.response_time.chunks is not None
        started = time.monotonic()
        future = client.compute(lazy)
        most, deadline = 0, started + 600
        while not most or left_to_do(cluster) > most / 2:
            assert time.monotonic() < deadline
            most = max(most, left_to_do(cluster))
            time.sleep(0.02)
        assert not future.done()
        os.kill(next(iter(before.values())), signal.SIGKILL)
        found = future.result(timeout=1200)
        elapsed = time.monotonic() - started
        assert set(client.run(os.getpid).values()) != set(before.values())
        memory = client.run(peak_memory)
    expected = sweep(CASE, AXES, quantity="response_time", over=["workers", "service_time"], quantiles=SHARES)
    assert found.response_time.shape == (3, 100)
    assert (found.response_time.values == expected.response_time.values).all()
    assert max(memory.values()) <= MOST_MEMORY
    print(f"{CELLS:.0e} cells, {elapsed:.0f} s, {max(memory.values()) / 2**20:.0f} MiB at most of a worker")


def test_the_cells_themselves_stay_on_the_cluster(cluster: LocalCluster) -> None:
    axes = {**AXES, "service_time": AXES["service_time"][:20]}
    with Client(cluster) as client:
        lazy = sweep(CASE, axes, quantity=["verdict", "utilization"], client=client)
        counts = (lazy.verdict == 3).sum().compute()
        corner = lazy.utilization.isel(users=0, workers=0).mean().compute()
    here = sweep(CASE, axes, quantity=["verdict", "utilization"])
    assert counts.item() == (here.verdict == 3).sum().item()
    assert corner.item() == pytest.approx(here.utilization.isel(users=0, workers=0).mean().item(), rel=1e-12)
