"""What other packages answer of the same questions, asked the way their own documentation asks them.

Each knows one scenario at a time. A question is named as ours is; service times are 1 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np

Answers = dict[str, Callable[..., Any]]


def call_center_tools(of: Callable[[str], ModuleType]) -> Answers:
    """Recursions in plain Python."""
    tools = of("call_center_tools")

    def least(a: float, p: float, wait: float) -> int:
        return tools.calc_staffing(
            a * 3600, 1.0, max_occupancy=1.0, target_answer_time=wait, target_service_level=p
        ).agents

    return {"erlang_c": lambda c, a: tools.erlang_c(a, c), "servers_for_waiting_time_quantile": least}


def callcenterdim(of: Callable[[str], ModuleType]) -> Answers:
    """Recursions in plain Python; calls come in minutes."""
    dim = of("callcenterdim.Dimensionamento")
    return {
        "erlang_c": lambda c, a: dim.ProbCallWaits(a * 60, 1.0, 1.0, c),
        "servers_for_waiting_time_quantile": lambda a, p, wait: dim.AgentsReq(a * 60, 1.0, 1.0, p, wait),
    }


def pyworkforce(of: Callable[[str], ModuleType]) -> Answers:
    """An object for each load."""
    queuing = of("pyworkforce.queuing")

    def least(a: float, p: float, wait: float) -> int:
        return queuing.ErlangC(transactions=a, aht=1.0, asa=wait, interval=1).required_positions(p)["raw_positions"]

    return {
        "erlang_c": lambda c, a: queuing.ErlangC(transactions=a, aht=1.0, asa=0.1, interval=1).waiting_probability(c),
        "servers_for_waiting_time_quantile": least,
    }


def pyqueueing(of: Callable[[str], ModuleType]) -> Answers:
    """An object for each queue."""
    package = of("pyqueueing")
    return {
        "erlang_c": lambda c, a: package.ErlangC(arrival_rate=a, service_rate=1.0, servers=c).prob_wait(),
        "servers_for_wait_probability": lambda a, target: package.ErlangC(
            arrival_rate=a, service_rate=1.0
        ).required_servers(target_wait_prob=target),
        "servers_for_waiting_time_quantile": lambda a, p, wait: package.ErlangC(
            arrival_rate=a, service_rate=1.0
        ).required_servers(target_service_level=(wait, p)),
    }


def line(of: Callable[[str], ModuleType]) -> Answers:
    """LINE, by the fastest of its Erlang C functions and its exact staffing."""
    formulas, staffing = of("line_solver.api.qsys.mol"), of("line_solver.api.qsys.qed").qsys_mmk_qed_staffing
    return {
        "erlang_c": lambda c, a: formulas.erlang_c(c, a),
        "servers_for_wait_probability": lambda a, target: staffing(a, 1.0, target, "delay", exact=True)["numServers"],
        "servers_for_waiting_time_quantile": lambda a, p, wait: staffing(
            a, 1.0, {"deadline": wait, "level": p}, "servicelevel", exact=True
        )["numServers"],
    }


def most_queue(of: Callable[[str], ModuleType]) -> Answers:
    """A recursion in plain Python."""
    formulas = of("most_queue.theory.fifo.erlang")
    return {"erlang_c": lambda c, a: formulas.erlang_c_formula(a, c)}


def simpy(of: Callable[[str], ModuleType]) -> Answers:
    """A resource, and a process for each request."""
    package = of("simpy")

    def replay(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
        world = package.Environment()
        pool, waits = package.Resource(world, servers), np.empty(arrivals.size)

        def request(number: int, service: float) -> Iterator[Any]:
            with pool.request() as turn:
                came = world.now
                yield turn
                waits[number] = world.now - came
                yield world.timeout(service)

        def source() -> Iterator[Any]:
            now = 0.0
            for number, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
                yield world.timeout(arrival - now)
                now = arrival
                world.process(request(number, service))

        world.process(source())
        world.run()
        return waits

    return {"replay": replay}


def ciw(of: Callable[[str], ModuleType]) -> Answers:
    """One node, whose arrivals and services are the sequences."""
    package = of("ciw")

    def replay(arrivals: np.ndarray, services: np.ndarray, servers: int) -> np.ndarray:
        gaps = np.diff(arrivals, prepend=0.0).tolist()
        network = package.create_network(
            arrival_distributions=[package.dists.Sequential([*gaps, float("inf")])],
            service_distributions=[package.dists.Sequential(services.tolist())],
            number_of_servers=[servers],
        )
        world = package.Simulation(network)
        world.simulate_until_max_customers(arrivals.size, method="Finish")
        records = sorted(world.get_all_records(), key=lambda record: record.id_number)
        return np.array([record.waiting_time for record in records])

    return {"replay": replay}


PACKAGES: dict[str, Callable[[Callable[[str], ModuleType]], Answers]] = {
    "call-center-tools": call_center_tools,
    "CallCenterDim": callcenterdim,
    "line-solver": line,
    "most-queue": most_queue,
    "pyqueueing": pyqueueing,
    "pyworkforce": pyworkforce,
    "Ciw": ciw,
    "simpy": simpy,
}
"""How each is asked, by the name under which it is installed."""


def installed() -> tuple[dict[str, Answers], dict[str, str]]:
    """What each answers, of those that are installed; and the version of each, or why it is left out."""
    answers, state = {}, {}
    for name, ask in PACKAGES.items():
        try:
            state[name] = version(name)
            answers[name] = ask(import_module)
        except PackageNotFoundError:
            state[name] = "not installed"
        except (ImportError, AttributeError) as error:  # another version may lay out its modules in another way
            state[name] += f", left out: {error}"
    return answers, state
