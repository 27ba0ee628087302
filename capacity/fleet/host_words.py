"""What is said of several hosts, in words that a system administrator can act on."""

from __future__ import annotations

from capacity.fleet.results import Balancing
from capacity.fleet.words import plural
from capacity.scenario import Scenario
from capacity.units import format_rate

__all__ = ["host_cautions", "host_reason", "host_steps"]


def host_reason(scenario: Scenario, rate: float, hosts: int, workers: int, spare: int, *, found: bool) -> str:
    """Why so many hosts."""
    users = scenario.workload.users
    who = format_rate(rate) + (f" from {plural(users, 'user')}" if users else "")
    if not found:
        return f"{who}: no number of hosts meets the objective"
    out = f", and the load itself with {plural(spare, 'host')} out" if spare else ""
    each = f"{plural(hosts, 'host')} of {plural(workers, 'worker')}"
    return f"{who}: {each} carry {scenario.headroom:g} times that within the objective{out}"


def host_steps(scenario: Scenario, rate: float, running: int, most: int, hopeless: bool) -> tuple[str, ...]:
    """What would make it possible, where no number of hosts does."""
    if hopeless:
        return ("Allow requests more response_time, or make them shorter: more hosts end waiting, and nothing else",)
    host, each = scenario.host, scenario.worker.database_connections
    busy = rate * scenario.headroom * scenario.workload.hold_time / scenario.objective.max_utilization
    if host.database_connections is not None and each:
        free = host.database_connections - host.database_connections_reserved
        if free // running // each <= most:
            return (
                f"The database's connections end it: the load wants at least {busy:.0f} workers in all, which hold "
                f"{busy * each:.0f} of them, and {free} are free for {plural(running, 'host')} that run at once. Raise "
                "max_connections, or put a pooler in front of the database",
            )
    if most < 1:
        return ("Not even one worker fits into the memory of a host: larger hosts, or smaller workers",)
    return (f"Even {plural(running, 'host')} are too few: larger hosts, or less work a request",)


def host_cautions(scenario: Scenario, balancing: Balancing) -> tuple[str, ...]:
    """What the answer leaves open."""
    cautions = []
    if scenario.workload.cpu_time is None:
        cautions.append(
            "cpu_time is not known, so the cores of a host are taken to be enough for all its workers. Measure it: "
            "mean of %C times %d in FPM's access log"
        )
    if balancing in ("least_connections", "shared_queue"):
        cautions.append(
            f"{balancing.replace('_', ' ')}: only a balancer that knows every host's requests comes near it; several "
            "balancers side by side each know their own"
        )
    if balancing == "round_robin" and scenario.workload.service_scv != 1:
        cautions.append(
            "what taking turns saves of the wait beside choosing at random is that of exponential service times"
        )
    return tuple(cautions)
