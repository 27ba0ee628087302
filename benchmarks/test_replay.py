"""A trace of 200 000 requests through c servers, without and with a backlog, beside a heap in a loop."""

from __future__ import annotations

import pytest

from benchmarks import textbook
from benchmarks.scenarios import trace
from capacity.queueing import replay

WAYS = {
    "textbook": textbook.replay,
    "replay": lambda a, s, c: replay(arrival_times=a, service_times=s, servers=c),
    "replay, backlog 128": lambda a, s, c: replay(arrival_times=a, service_times=s, servers=c, backlog=128),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("utilization", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("servers", [4, 40, 200])
def test_replay(benchmark, servers, utilization, way):
    benchmark.group = f"200 000 requests, {servers} servers, utilization {utilization}"
    benchmark.pedantic(WAYS[way], args=(*trace(servers, utilization, 200_000), servers), rounds=3, warmup_rounds=1)
