"""How far simulated pools of lognormal times of a spread above 4 are from the truth.

Run `python -m tests.oracles.measure_wide_spread`.

For one server the truth is Pollaczek and Khinchin's mean wait; for more it is the mean of 60 million requests. The
simulations are those of a forecast: a million requests, other seeds. Two to three minutes on one core; nothing is
judged here.

Measured (16 seeds a row; error and half interval as shares of the true wait, share of 98 % intervals that hold it):

    servers  scv  utilization  true wait  largest error  median error  median half interval  held
          1    8          0.5        4.5            14%            5%                    9%   88%
          1    8          0.8         18            11%            5%                   12%   94%
          1   16          0.8         34            40%           12%                   18%   75%
         20    8          0.8      0.162            20%            7%                   16%   94%
         20    8          0.9      0.904            25%            8%                   23%   94%
         20   16          0.8      0.245            40%            9%                   23%  100%
         20   16          0.9        1.5            27%           12%                   35%  100%
"""

from __future__ import annotations

import numpy as np

from capacity.simulation import simulated_lognormal_queue

CASES = [(1, 8, 0.5), (1, 8, 0.8), (1, 16, 0.8), (20, 8, 0.8), (20, 8, 0.9), (20, 16, 0.8), (20, 16, 0.9)]
SEEDS = 16


def mean_wait(servers: int, scv: float, utilization: float, *, requests: int, seed: int) -> tuple[float, float]:
    """Simulated mean wait and half its interval, in service times."""
    wait = simulated_lognormal_queue(
        servers=servers,
        arrival_rate=servers * utilization,
        service_time=1.0,
        service_scv=scv,
        requests=requests,
        seed=seed,
        confidence=0.98,
    ).waiting_time
    assert wait.low is not None
    assert wait.high is not None
    return wait.value, (wait.high - wait.low) / 2


def main() -> None:
    """Print a row a case."""
    print("servers  scv  utilization  true wait  largest error  median error  median half interval  held")
    for servers, scv, utilization in CASES:
        truth = (1 + scv) / 2 * utilization / (1 - utilization)
        if servers > 1:
            long = [mean_wait(servers, scv, utilization, requests=10**7, seed=1000 + s)[0] for s in range(6)]
            truth = float(np.mean(long))
        found = np.array(
            [mean_wait(servers, scv, utilization, requests=10**6, seed=seed) for seed in range(1, SEEDS + 1)]
        )
        errors, halves = np.abs(found[:, 0] / truth - 1), found[:, 1] / truth
        print(
            f"{servers:7d}{scv:5g}{utilization:13g}{truth:11.3g}{errors.max():15.0%}{np.median(errors):14.0%}"
            f"{np.median(halves):22.0%}{np.mean(errors <= halves):6.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
