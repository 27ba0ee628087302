"""A real pool's log replayed at another size, held against the real pool of that size under the same requests.

    python -m benchmarks.replay_live       # root; php-fpm8.2 and nginx; three minutes

nginx and a static php-fpm are started in a temporary directory. The same requests, at the same moments, each with its
own time off the CPU (usleep) and on it (a loop), go to pools of several sizes; of every run nginx keeps a log. Each
log is read and replayed at the other sizes, and what it says of the upstream's time is compared with their logs. What
nginx and FPM spend outside a request's script is in both.
"""

from __future__ import annotations

import argparse
from itertools import permutations

import numpy as np

from benchmarks.fidelity.load import Generator, Plan
from benchmarks.fidelity.site import running
from capacity import PoolSettings, replay_log
from capacity.fpm.web_format import nginx_format
from capacity.measure.log_trace import LogTrace, read_trace

LOG_FORMAT = '$remote_addr $msec "$request" $status $request_time $upstream_response_time'


def run(workers: int, moments: np.ndarray, offs: np.ndarray, burns: np.ndarray) -> LogTrace:
    """Send the requests to a pool of this size; what nginx logged."""
    plan = Plan(moments, offs, burns, float(moments[-1]) + 1.0)
    with running(PoolSettings(pm="static", max_children=workers), log_format=LOG_FORMAT) as site:
        record = Generator(site.directory, site.socket, plan).record()
        assert (record.status == 200).all(), "a request failed"
        return read_trace([str(site.directory / "nginx.access.log")], line_format=nginx_format(LOG_FORMAT))


def figures(times: np.ndarray) -> np.ndarray:
    """Mean, 0.95 and 0.99 quantile."""
    return np.array([times.mean(), *np.quantile(times, (0.95, 0.99))])


def main() -> None:
    """Run every pool, replay every log at the other sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--cores", type=float, default=2.0)
    parser.add_argument("--cpu", action="store_true", help="work on the CPU, too: only on a machine that is idle")
    options = parser.parse_args()
    cases = [("off the CPU", 0.05, 0.0, 55, (4, 5, 8))]
    cases += [("a fifth on the CPU", 0.04, 0.01, 55, (4, 6, 16))] if options.cpu else []
    for name, off, cpu, rate, pools in cases:
        rng = np.random.default_rng(5)
        moments = np.cumsum(rng.exponential(1 / rate, int(rate * options.seconds)))
        waits, burns = rng.exponential(off, len(moments)), rng.exponential(cpu, len(moments))
        logs = {workers: run(workers, moments, waits, burns) for workers in pools}
        for logged, workers in permutations(pools, 2):
            log = logs[logged]
            result = replay_log(
                log.arrival_times,
                log.logged_times,
                workers=[workers],
                time_kind=log.time_kind,
                logged_workers=logged,
                cpus=options.cores,
                cpu_time=float(burns.mean()) if cpu else 0.0,
            )
            pool = result.pools[0]
            said = np.array([pool.response_time, pool.response_time_p95, pool.response_time_p99])
            seen, before = figures(logs[workers].logged_times), figures(log.logged_times)
            print(
                f"{name}: log of {logged:2} workers (mean {before[0] * 1e3:6.1f} ms) replayed at {workers:2}: "
                f"service {result.service_time * 1e3:5.1f} ms, "
                f"mean {said[0] * 1e3:6.1f} ms, seen {seen[0] * 1e3:6.1f}; "
                + ", ".join(f"{n} {e:+.1%}" for n, e in zip(("mean", "p95", "p99"), said / seen - 1, strict=True)),
                flush=True,
            )


if __name__ == "__main__":
    main()
