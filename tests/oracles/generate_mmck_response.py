"""Write `mmck_response_tails.csv`: P(R > t) of those let into M/M/c/K, at 60 digits.

    python -m tests.oracles.generate_mmck_response

takes half a minute. To 5000 waiting places, utilization 0.1 to 10, times from a hundredth of the wait behind a full
queue to three times it; among the utilizations those at which the closed forms have a removable singularity: 1, and
1 - 1/c.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

import mpmath

from . import exact, points
from .exact import mp
from .generate import DIGITS, HERE, text

SERVERS = (1, 2, 3, 5, 8, 20, 40, 100, 300)
PLACES = (0, 1, 9, 65, 129, 512, 1025, 4097, 5000)
UTILIZATIONS = (
    0.1,
    0.3,
    0.5,
    0.8,
    0.9,
    0.95,
    0.99,
    1.0,
    1 + 1e-12,
    1 - 1e-7,
    1.001,
    1.05,
    1.25,
    1.5,
    2.0,
    3.0,
    5.0,
    10.0,
)


def law(servers: int, backlog: int, arrival_rate: float, service_time: float, t: float) -> object:
    """P(R > t): Erlang waits, each with an exponential service after it, by the state found."""
    hold = exact.number(service_time)
    if backlog == 0:
        return mp.exp(-exact.number(t) / hold)
    weights = exact.mmck_weights(servers, backlog, exact.number(arrival_rate) * hold)
    let_in = mp.fsum(weights[:-1])
    free = mp.fsum(weights[:servers]) / let_in
    found = [weight / let_in for weight in weights[servers:-1]]
    return exact.wait_and_response_tails(free, found, servers / hold, hold, exact.number(t))[1]


def rows() -> Iterator[dict[str, object]]:
    """A row a point and time."""
    rng = random.Random(31)
    for servers in SERVERS:
        for places in PLACES:
            for utilization in [*rng.sample(UTILIZATIONS, 3), 1 - 1 / servers if servers > 1 else 1.0]:
                service = rng.choice((0.25, 0.5, points.log_uniform(rng, 1e-3, 1e1)))
                rate = servers * utilization / service
                t = service * (places + 1) / servers * points.log_uniform(rng, 1e-2, 3)
                t = max(t, service * points.log_uniform(rng, 1e-2, 1))
                yield {
                    "t": t,
                    "servers": servers,
                    "backlog": places,
                    "arrival_rate": rate,
                    "service_time": service,
                    "response_time_tail": law(servers, places, rate, service, t),
                }


def main() -> None:
    """Write the table."""
    made = list(rows())
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    lines = [
        f"# Origin: tests/oracles/generate_mmck_response.py, {today}, mpmath {mpmath.__version__} at {mp.dps} digits.",
        f"# Method: {law.__doc__}",
        f"# Inputs are exact doubles (shortest form that reads back); results have {DIGITS} digits.",
        ",".join(made[0]),
        *(",".join(text(value) for value in row.values()) for row in made),
    ]
    (HERE / "mmck_response_tails.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
