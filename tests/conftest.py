"""How the tests are shared out where they run in parallel (``pytest -n 2``), and what they must not inherit."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.browser import Browser

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

LIVE = "tests/live/"


def share(test: str) -> str:
    """What runs one after another in one process: the tests of a file, and all that look at the machine's processes."""
    return LIVE if test.startswith(LIVE) else test.partition("::")[0]


def pytest_configure() -> None:
    """Let what the tests start heed signals that they were told to ignore themselves (``nohup``, a shell's ``&``)."""
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # unlike SIG_IGN, nobody inherits a function


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a parallel run begin with the live tests: they take longest, and mostly wait while others compute."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: share(item.nodeid) != LIVE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Hand out the shares in that order. (xdist 3.8 silently forgets the groups of `loadgroup` under pytest 9.2.)."""
    from xdist.scheduler import LoadScopeScheduling

    class InShares(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return share(nodeid)

    config.option.loadscopereorder = False
    return InShares(config, log)


@pytest.fixture(scope="session")
def browser() -> Browser:
    """Headless Chromium, where there is one; where live tests must run, there has to be."""
    from tests.live.conftest import missing

    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return Browser(binary) if binary is not None else missing("chromium is not installed: apt-get install chromium")
