from __future__ import annotations

import numpy as np

from capacity import Scenario
from capacity.policies import process_max
from capacity.table import take


def test_fpm_forks_as_many_as_its_global_limit_allows():
    table = {"policy.process_max": np.array([128.0, np.nan, 1.0])}
    assert process_max.limit(table).tolist() == [128.0, np.inf, 1.0]


def test_a_row_does_not_know_its_neighbours():
    table = {"policy.process_max": np.array([128.0, np.nan, 1.0])}
    alone = [process_max.limit(take(table, np.array([row])))[0] for row in range(3)]
    assert process_max.limit(table).tobytes() == np.array(alone).tobytes()


def test_the_reason_names_the_limit_and_that_all_pools_share_it():
    text = process_max.explain(Scenario.example().model_copy(update={"process_max": 128}), 128.0)
    assert "process.max = 128" in text
    assert "all pools" in text
    assert "pm." not in text


def test_the_reason_says_that_none_is_given():
    assert "not limited" in process_max.explain(Scenario.example(), np.inf)
