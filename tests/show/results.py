"""One of every kind of result, made once."""

from __future__ import annotations

from functools import cache

import numpy as np

from capacity import Scenario, forecast, recommend, replay_log
from capacity.comparison import compare
from capacity.estimation import Estimate

EXAMPLE = Scenario.example()
SEEN = {
    "arrival_rate": Estimate(100.0, 97.0, 103.0, 600),
    "busy_workers": Estimate(38.0, 37.0, 39.0, 600),
    "service_time": Estimate(0.27, 0.25, 0.29, 500),
    "worker_memory": Estimate(70e6, 68e6, 72e6, 40),
}


@cache
def results():
    """Results by the name of their class."""
    recommended = recommend(EXAMPLE, step=(50, 150))
    forecasted = forecast(EXAMPLE, pool=20).model_copy(update={"step": recommended.step})
    random = np.random.default_rng(1)
    arrivals = 1_795_478_400 + np.sort(random.uniform(0, 6 * 3600, 5000))
    replayed = replay_log(arrivals, random.exponential(1.5, arrivals.size), workers=[1, 2, 3, 4, 6, 9])
    parts = [recommended, forecasted, compare(EXAMPLE, SEEN, workers=40, seconds=60.0), replayed]
    parts += [recommended.step, recommended.step.outcomes[0], recommended.predictions[0], recommended.bands[0]]
    parts += [recommended.limits[0], recommended.rules_of_thumb[0], recommended.choices[0]]
    parts += [replayed.pools[0], replayed.pools[0].periods[0]]
    return {type(part).__name__: part for part in parts}


NAMES = [
    "Recommendation", "Forecast", "Comparison", "Replay", "StepForecast", "StepOutcome", "Prediction", "UserBand",
    "Limit", "RuleOfThumb", "Choice", "ReplayedPool", "ReplayedPeriod",
]  # fmt: skip
