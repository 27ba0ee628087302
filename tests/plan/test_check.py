"""Hold a plan against the host again: what has changed is named."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capacity.plan.check import check_plan
from capacity.plan.model import ChangePlan

from .conftest import Host, resealed
from .test_builder import applied


def only_files(plan: ChangePlan) -> ChangePlan:
    """The plan without the conditions that need running servers."""
    document = plan.to_dict()
    document["preconditions"] = [c for c in document["preconditions"] if c["kind"] == "file_sha256"]
    return resealed(document)


def told(plan: ChangePlan) -> list[str]:
    return [str(staleness) for staleness in check_plan(plan)]


def test_a_fresh_plan_holds(host: Host) -> None:
    assert told(only_files(host.plan())) == []


def content(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


def link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "content": (content, "its content has changed"),
    "mode": (lambda path: path.chmod(0o600), "mode is 0600, not 0644"),
    "gone": (lambda path: path.unlink(), "No such file"),
    "a link": (link, "symbolic link"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "not a regular file|directory"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("which", ["pool_file", "env_file", "config"])
def test_what_has_changed_is_named(host: Host, which: str, change: Callable[[Path], Any], said: str) -> None:
    path: Path = getattr(host, which)
    path.chmod(0o644)
    plan = only_files(host.plan())
    change(path)
    (line,) = told(plan)
    assert line.startswith(f"{path}: ")
    assert any(words in line for words in said.split("|"))


def test_a_plan_that_is_carried_out_is_told_as_such(host: Host) -> None:
    plan = only_files(host.plan())
    for path, data in applied(plan).items():
        Path(path).write_bytes(data)
    assert all("has the planned content already" in line for line in told(plan))
    assert len(told(plan)) == 2


def test_services_releases_and_extensions_are_asked_again(host: Host) -> None:
    plan = host.plan()
    binary = next(step.argv[0] for step in plan.steps if step.op == "validate")
    document = plan.to_dict()
    document["preconditions"] += [
        {"kind": "fpm_version", "binary": binary, "version": "9.9"},
        {"kind": "php_extension", "binary": binary, "extension": "nosuch"},
        {"kind": "composer_package", "application": str(host.env_file.parent), "package": "predis/predis"},
        {"kind": "env_key_set", "path": str(host.env_file), "key": "NO_SUCH_KEY"},
        {"kind": "http_status", "url": "http://127.0.0.1:9/", "status": 200},
    ]
    lines = told(resealed(document))
    for said in (
        f"{binary}: is {host.installation().version or 'not there'}, not 9.9",
        f"{binary}: does not load the extension nosuch",
        "has no predis/predis in its vendor directory",
        "NO_SUCH_KEY is not set",
        "http://127.0.0.1:9/: answers nothing, not 200",
        ": is not active",
    ):
        assert any(said in line for line in lines), (said, lines)


@pytest.fixture
def site() -> Iterator[tuple[str, list[int]]]:
    """A server on 127.0.0.1 that answers the status in the list."""
    status = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0])
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", status
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_site_is_asked_and_redirects_are_not_followed(host: Host, site: tuple[str, list[int]]) -> None:
    url, status = site
    document = host.plan(url=url).to_dict()
    document["preconditions"] = [c for c in document["preconditions"] if c["kind"] in {"file_sha256", "http_status"}]
    plan = resealed(document)
    assert told(plan) == []
    for answer in (302, 500):
        status[0] = answer
        assert told(plan) == [f"{url}: answers {answer}, not 200"]


# --- a plan that was written by hand and says one thing and does another


def test_an_edit_in_another_place_is_noticed(host: Host) -> None:
    """The words of the step are right, the bytes that it removes stand elsewhere: in a comment, in a password."""
    host.pool_file.write_text(host.pool_file.read_text().replace("; the application's pool", "; made in 20 minutes"))
    document = only_files(host.plan(env=False)).to_dict()
    edit = next(s for s in document["steps"] if s["id"] == "set-pm-max-children")["edit"]
    edit["offset"] = host.pool_file.read_bytes().index(b"20 minutes")
    assert told(resealed(document)) == [f"{host.pool_file}: the edits do something else than their steps say"]


def test_a_postcondition_that_is_not_reached_is_noticed(host: Host) -> None:
    document = only_files(host.plan(env=False)).to_dict()
    document["postconditions"][0]["sha256"] = "0" * 64
    assert told(resealed(document)) == [
        f"{host.pool_file}: the edits do not lead to the content the postcondition names"
    ]


def test_edits_that_overlap_or_lie_beyond_the_end_are_noticed(host: Host) -> None:
    document = only_files(host.plan(env=False)).to_dict()
    next(s for s in document["steps"] if s["id"] == "set-pm-max-children")["edit"]["offset"] = 2**20
    (line,) = told(resealed(document))
    assert "splice must find" in line
