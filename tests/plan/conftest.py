"""A host in a directory: a main configuration, a pool, an application. Nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capacity import Recommendation, Scenario, recommend
from capacity.plan.application import Application, inspect_application
from capacity.plan.builder import build_plan
from capacity.plan.installation import Installation, inspect_installation
from capacity.plan.model import ChangePlan, plan_id_of, read_plan

SECRETS = ("base64:c2VjcmV0", "hunter1", "hunter2", "hunter3", "sesame")
POOL = """\
; the application's pool
[app]
user = www-data
listen = {directory}/app.sock
env[DB_PASSWORD] = hunter1
pm = dynamic
pm.max_children = 20
  pm.start_servers = 4 ; open: sesame
pm.min_spare_servers = 2
pm.max_spare_servers = "6"
"""
ENV = """\
APP_KEY=base64:c2VjcmV0
DB_PASSWORD="hunter2"
export SESSION_DRIVER=database # open: sesame
CACHE_DRIVER=redis
REDIS_HOST=127.0.0.1
REDIS_PASSWORD=hunter3
"""
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


@dataclass
class Host:
    """Files of a host and what is made of them."""

    directory: Path

    @property
    def config(self) -> Path:
        return self.directory / "php-fpm.conf"

    @property
    def pool_file(self) -> Path:
        return self.directory / "pool.d" / "app.conf"

    @property
    def env_file(self) -> Path:
        return self.directory / "site" / ".env"

    def installation(self, **options: Any) -> Installation:
        return inspect_installation(str(self.pool_file), "app", **options)

    def application(self, **options: Any) -> Application:
        return inspect_application(str(self.env_file), **options)

    def plan(
        self,
        scenario: Scenario | None = None,
        *,
        installation: Installation | None = None,
        application: Application | None = None,
        env: bool = True,
        **options: Any,
    ) -> ChangePlan:
        scenario = scenario or Scenario.example()
        there = installation or self.installation()
        site = application or (self.application() if env else None)
        return build_plan(scenario, self.recommendation(scenario), there, site, created_at=NOW, **options)

    @staticmethod
    def recommendation(scenario: Scenario) -> Recommendation:
        return recommend(scenario)


def write_host(directory: Path, *, pool: str = POOL, env: str = ENV, settings: str = "") -> Host:
    host = Host(directory)
    host.pool_file.parent.mkdir(parents=True)
    host.env_file.parent.mkdir()
    head = f"[global]\npid = {directory}/fpm.pid\n{settings}"
    host.config.write_text(f"{head}include={directory}/pool.d/*.conf\n")
    host.pool_file.write_text(pool.replace("{directory}", str(directory)))
    host.env_file.write_text(env)
    return host


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[..., Host]:
    return lambda **options: write_host(tmp_path / f"host{len(list(tmp_path.iterdir()))}", **options)


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    return make_host()


def resealed(document: dict[str, Any]) -> ChangePlan:
    """Read a plan that was changed by someone who also made its plan_id anew."""
    from capacity.plan.model import canonical_json

    document = {**document, "plan_id": plan_id_of(document)}
    return read_plan(canonical_json(document))
