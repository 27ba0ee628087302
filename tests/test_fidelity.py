"""The harness that holds predictions against a real pool, without one: the generator, the figures, the predictions."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fidelity import page
from benchmarks.fidelity.calibration import Calibration
from benchmarks.fidelity.cases import SCV, Case, grid, quick
from benchmarks.fidelity.load import Plan, Record, drive
from benchmarks.fidelity.measure import Run, Used, disturbances, figures
from benchmarks.fidelity.predict import IN_BAND, from_inputs, from_run, replayed
from capacity.queueing import replay

MACHINE = Calibration(
    script=0.0002, turn=0.0001, held=0.0003, outside=0.0005, php_cpu=0.0002, nginx_cpu=0.0001, generator_cpu=0.0001,
    burn=0.0002, cores=2.0,
)  # fmt: skip


def simulated(case: Case) -> Run:
    """The run that a pool without any flaw would give, by the exact queue."""
    plan, held = case.plan(), MACHINE.held
    services = plan.off_times + MACHINE.script + held
    waits = np.asarray(replay(arrival_times=plan.moments, service_times=services, servers=case.workers))
    ended = plan.moments + waits + services + MACHINE.client
    record = Record(plan.moments, plan.moments, ended, np.full(ended.size, 200), 0.0, 0.0)
    window = (case.warm_up, case.warm_up + case.seconds)
    return Run(plan, record, services - held, Used(0.1, 0.0, 0.0, 0.0), window)


def test_a_case_is_drawn_the_same_wherever_it_stands() -> None:
    first, again = (next(case for case in grid() if case.name == "open-lognormal-c4-u0.90").plan() for _ in range(2))
    np.testing.assert_array_equal(first.moments, again.moments)
    np.testing.assert_array_equal(first.off_times, again.off_times)


def test_names_are_unique() -> None:
    assert len({case.name for case in grid()}) == len(grid())


@pytest.mark.parametrize("law", SCV)
def test_services_follow_their_law(law: str) -> None:
    """Of a million the mean is off by a thousandth of its spread; the scv of lognormal times converges slowly."""
    times = replace(Case("open", 400, 0.02, law, utilization=0.5), seconds=97.0).plan().off_times
    assert times.size > 900_000
    assert times.mean() == pytest.approx(0.02, rel=0.01)
    assert times.var() / times.mean() ** 2 == pytest.approx(SCV[law], rel=0.1)


def test_the_rate_of_an_open_case_is_the_one_of_its_utilization() -> None:
    case = replace(Case("open", 20, 0.05, utilization=0.8), seconds=500.0)
    assert case.plan().moments.size / (case.seconds + case.warm_up) == pytest.approx(320, rel=0.01)


def test_a_flawless_pool_gives_the_figures_of_the_queue() -> None:
    """Exact where it is the same queue, within chance where it is a formula."""
    run = simulated(case := replace(Case("open", 20, 0.05, utilization=0.8), seconds=400.0))
    seen = figures(run, MACHINE.held)
    again = replayed(case, MACHINE, run.plan, warm_up=case.warm_up, seconds=case.seconds)
    assert again is not None
    assert again["response_time"] == pytest.approx(seen["response_time"], rel=1e-9)
    assert again["response_time_p95"] == pytest.approx(seen["response_time_p95"], rel=1e-9)
    for predicted, allowed in ((from_inputs(case, MACHINE), 0.03), (from_run(case, MACHINE, run), 0.015)):
        for name in ("throughput", "response_time", "response_time_p95", "busy_workers"):
            assert predicted[name] == pytest.approx(seen[name], rel=allowed), name
    assert seen["queue_length"] == pytest.approx(seen["throughput"] * seen["waiting_time"], rel=0.15)
    assert disturbances(run, on_the_cpu=False) == []


def test_the_page_says_how_many_runs_lie_in_their_bands() -> None:
    case = replace(Case("open", 20, 0.05, utilization=0.8), seconds=60.0)
    figure = from_inputs(case, MACHINE)
    for name in IN_BAND:
        assert figure[f"{name}_low"] < figure[name] < figure[f"{name}_high"], name
    sound = {"case": case.name, "settings": asdict(case), "disturbed": [], "inputs": figure, "own": figure}
    runs = [
        {**sound, "measured": figure},
        {**sound, "measured": figure | {"response_time": 2 * figure["response_time"]}},
        {**sound, "measured": figure, "disturbed": ["late"]},
    ]
    text = "\n".join(page._coverage(runs))
    assert "| open to utilization 0.8 | the inputs | 2 of 2 | 1 of 2 | 2 of 2 |" in text


def test_a_late_generator_and_others_on_the_cores_are_marked() -> None:
    run = simulated(quick()[2])
    late = replace(run, record=replace(run.record, sent=run.record.sent + 0.002))
    assert disturbances(late, on_the_cpu=False) == ["send delay: mean 2.0 ms"]
    crowded = replace(run, used=replace(run.used, foreign=0.5))
    assert disturbances(crowded, on_the_cpu=True) == ["others took 0.50 cores"]
    assert disturbances(crowded, on_the_cpu=False) == []


@pytest.fixture
def slow_server(tmp_path: Path) -> Path:
    """Answer one request after the other, 50 ms each: the second of two waits."""
    path = tmp_path / "server.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(100)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if b"n=" not in connection.recv(4096):
                    return
                time.sleep(0.05)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\ndone")

    server = threading.Thread(target=serve)
    server.start()
    yield path
    with socket.socket(socket.AF_UNIX) as last:
        last.connect(str(path))
        last.sendall(b"end")
    server.join()
    listener.close()


def test_a_response_counts_from_the_moment_it_was_due(slow_server: Path) -> None:
    """Three at once wait for one another; none is sent later because those before are slow."""
    nothing = np.zeros(3)
    record = drive(str(slow_server), time.monotonic() + 0.05, Plan(np.zeros(3), nothing, nothing, 1.0))
    responses = np.sort(record.ended - record.due)
    assert (responses >= [0.05, 0.10, 0.15]).all()
    assert (record.sent - record.due < responses.min()).all()
    assert (record.status == 200).all()


def test_a_user_thinks_between_an_answer_and_the_next_request(slow_server: Path) -> None:
    nothing = np.zeros(20)
    record = drive(
        str(slow_server), time.monotonic(), Plan(np.zeros(1), nothing, nothing, 0.5, think_times=np.full(20, 0.1))
    )
    assert 2 <= record.due.size <= 4  # 0.15 s a turn
    np.testing.assert_allclose(record.due[1:] - record.ended[:-1], 0.1, atol=1e-9)
    assert (record.ended - record.due >= 0.05).all()
