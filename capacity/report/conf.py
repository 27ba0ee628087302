"""A recommendation as directives that ``php-fpm -t`` accepts."""

from __future__ import annotations

from capacity.fpm.directives import render
from capacity.results import Recommendation, describe_bands
from capacity.units import format_bytes

__all__ = ["recommendation_conf"]


def recommendation_conf(result: Recommendation, *, pool: str = "www") -> str:
    """Pool section with the recommended directives, its reasons as comments.

    Examples
    --------
    >>> from capacity import Scenario, recommend
    >>> print(recommendation_conf(recommend(Scenario.example()), pool="app"))
    ; 40 workers: memory binds
    ; comfortable to 90, manageable to 140, watch to 170 users
    ; 2.50 GiB of memory with every worker at its peak
    ; for [global]: process_control_timeout = 10s
    [app]
    pm = dynamic
    pm.max_children = 40
    pm.start_servers = 8
    pm.min_spare_servers = 4
    pm.max_spare_servers = 16
    pm.max_requests = 1000
    listen.backlog = 4096
    request_terminate_timeout = 60s
    <BLANKLINE>
    """
    workers = result.pool.max_children
    comments = [f"{workers} worker{'' if workers == 1 else 's'}: {result.binding} binds"]
    if not result.feasible:
        comments.append("INFEASIBLE: the objective cannot be met; this is the most the host can carry")
    if result.bands:
        comments.append(describe_bands(result.bands))
    comments.append(f"{format_bytes(result.worst_case_memory)} of memory with every worker at its peak")
    grace = next(choice for choice in result.choices if choice.setting == "process_control_timeout")
    comments.append(f"for [global]: process_control_timeout = {grace.value}s")
    return render(result.pool, pool=pool, comments=comments)
