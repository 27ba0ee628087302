"""Laws of a replay that hold for every trace, whatever its distributions, to the bit.

Times are whole multiples of 2^-10 s, so that no sum of them is rounded, ties are common and so are services of no
length. A trace is as long as three blocks or so: rare waits, rushes and overload meet in one.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capacity.queueing import replay

moderate = settings(deadline=None, derandomize=True, max_examples=80)

Array = NDArray[np.float64]
Trace = tuple[Array, Array]
GRID = 1024


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """A trace of requests whose service takes 1 s on average, with a few paces one after the other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = draw(st.lists(st.integers(1, 700), min_size=1, max_size=4))
    paces = [math.exp(draw(st.floats(math.log(0.05), math.log(100)))) for _ in lengths]
    gaps = np.concatenate([rng.exponential(1 / pace, length) for pace, length in zip(paces, lengths, strict=True)])
    services = rng.gamma(draw(st.sampled_from([0.1, 1.0, 50.0])), size=gaps.size)
    services /= services.mean()
    first = draw(st.sampled_from([0.0, -5.0, 2.0**30]))
    return first + np.floor(np.cumsum(gaps) * GRID) / GRID, np.floor(services * GRID) / GRID


servers = st.integers(1, 60)
backlogs = st.integers(0, 3000) | st.just(math.inf)


def waits(trace: Trace, servers: object, backlog: object = math.inf) -> Array:
    arrivals, services = trace
    return replay(arrival_times=arrivals, service_times=services, servers=servers, backlog=backlog)


@moderate
@given(traces(), servers)
def test_more_servers_never_make_anybody_wait_longer(trace, servers):
    fewer, more = waits(trace, [servers, servers + 1])
    assert (more <= fewer).all()
    assert (more >= 0).all()


@moderate
@given(traces(), servers)
def test_longer_services_never_make_anybody_wait_less(trace, servers):
    arrivals, services = trace
    longer = services * np.where(np.arange(services.size) % 3, 1, 2)
    assert (waits((arrivals, longer), servers) >= waits(trace, servers)).all()


@moderate
@given(traces(), servers, backlogs, st.integers(-(2**20), 2**20))
def test_the_origin_of_time_does_not_matter(trace, servers, backlog, shift):
    arrivals, services = trace
    assert waits((arrivals + shift, services), servers, backlog).tolist() == waits(trace, servers, backlog).tolist()


@moderate
@given(traces(), servers, backlogs, st.integers(-20, 20))
def test_the_unit_of_time_does_not_matter(trace, servers, backlog, power):
    arrivals, services = trace
    scaled = waits((arrivals * 2.0**power, services * 2.0**power), servers, backlog)
    assert scaled.tolist() == (waits(trace, servers, backlog) * 2.0**power).tolist()


@moderate
@given(traces())
def test_one_server_follows_lindley(trace):
    arrivals, services = trace
    wait, expected = 0.0, [0.0]
    for service, gap in zip(services[:-1].tolist(), np.diff(arrivals).tolist(), strict=True):
        wait = max(0.0, wait + service - gap)
        expected.append(wait)
    assert waits(trace, 1).tolist() == expected


@moderate
@given(traces(), servers, backlogs)
def test_who_waits_finds_every_server_busy_and_who_does_not_finds_one_idle(trace, servers, backlog):
    arrivals, services = trace
    ours = waits(trace, servers, backlog)
    let_in = np.isfinite(ours)
    starts = (arrivals + ours)[let_in]
    ends = starts + services[let_in]
    assert (np.diff(starts) >= 0).all()
    ahead = np.cumsum(let_in) - let_in  # let in before this one
    # Of those, the ones at work just after what ends in that instant has ended; the ones waiting just then.
    for request in range(0, arrivals.size, 7):
        now, before = arrivals[request], slice(0, ahead[request])
        waiting = int((starts[before] > now).sum())
        busy = int(((starts[before] <= now) & (ends[before] > now)).sum())
        assert busy <= servers
        assert waiting <= backlog
        assert (ours[request] > 0) == (waiting + busy >= servers)
        assert np.isinf(ours[request]) == (busy == servers and waiting == backlog)


@moderate
@given(traces(), servers)
def test_every_start_after_a_wait_is_the_end_of_somebody(trace, servers):
    arrivals, services = trace
    starts = arrivals + waits(trace, servers)
    assert np.isin(starts[starts > arrivals], starts + services).all()


@moderate
@given(traces(), servers, backlogs)
def test_those_let_in_wait_as_if_the_refused_had_not_come(trace, servers, backlog):
    arrivals, services = trace
    ours = waits(trace, servers, backlog)
    let_in = np.isfinite(ours)
    assert let_in[0]
    assert waits((arrivals[let_in], services[let_in]), servers).tolist() == ours[let_in].tolist()


@moderate
@given(traces(), servers, backlogs, st.data())
def test_what_comes_later_changes_nothing(trace, servers, backlog, data):
    arrivals, services = trace
    cut = data.draw(st.integers(0, arrivals.size))
    assert waits((arrivals[:cut], services[:cut]), servers, backlog).tolist() == (
        waits(trace, servers, backlog)[:cut].tolist()
    )


@moderate
@given(traces(), servers, backlogs, st.integers(0, 2**32))
def test_a_shuffled_log_sorted_by_arrival_answers_every_request_as_before(trace, servers, backlog, seed):
    arrivals, services = trace
    by_time_then_length = np.lexsort((services, arrivals))  # equal times need an order that survives the shuffle
    trace = arrivals[by_time_then_length], services[by_time_then_length]
    shuffled = np.random.default_rng(seed).permutation(arrivals.size)
    logged = trace[0][shuffled], trace[1][shuffled]
    order = np.lexsort((logged[1], logged[0]))
    again = waits((logged[0][order], logged[1][order]), servers, backlog)
    assert again.tolist() == waits(trace, servers, backlog).tolist()


@moderate
@given(traces(), st.integers(0, 2**32))
def test_the_order_within_a_batch_does_not_change_when_one_server_is_done(trace, seed):
    services = trace[1]
    shuffled = np.random.default_rng(seed).permutation(services)
    ends = [float((waits((np.zeros(services.size), each), 1) + each).max()) for each in (services, shuffled)]
    assert ends == [services.sum()] * 2
