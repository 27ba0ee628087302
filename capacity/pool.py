"""`PoolSettings`: how one PHP-FPM pool is configured, in FPM's own words."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from capacity.errors import InvalidInput, Problem
from capacity.fields import PURE, SECONDS, Count, InputModel

__all__ = ["MOST_PROCESSES", "PoolSettings"]

MOST_PROCESSES = 2**22
"""Linux has no more processes than this on any machine (its PID_MAX_LIMIT)."""


class PoolSettings(InputModel):
    """Settings of one PHP-FPM pool, named as in its file without the ``pm.`` prefix.

    A dynamic pool satisfies ``1 <= min_spare_servers <= start_servers <= max_spare_servers <= max_children``,
    as ``php-fpm -t`` demands.

    Parameters
    ----------
    pm : {'static', 'dynamic', 'ondemand'}
        Process manager.
    max_children : int
        Most workers at a time [-], at least 1 and at most the 4194304 processes of Linux.
    min_spare_servers, max_spare_servers : int, optional
        Fewest and most idle workers kept [-]; required when `pm` is dynamic.
    start_servers : int, optional
        Workers at start [-]. Left out of a dynamic pool it becomes what FPM takes: halfway between the
        spares, ``min + (max - min) // 2``.
    max_spawn_rate : int, optional
        Most workers forked at a time [-]; FPM's own default is 32.
    process_idle_timeout : int, optional
        How long an idle worker of an ondemand pool lives [s], in whole seconds; FPM's own default is 10 s.
    max_requests : int, optional
        Requests after which a worker is replaced [-]; 0 is never.
    listen_backlog : int, optional
        Waiting places asked of the kernel [-]; -1 is all it gives (``net.core.somaxconn``).
    request_terminate_timeout : int, optional
        Time after which FPM kills a worker at work [s], in whole seconds; 0 is never.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Notes
    -----
    None means that the file does not say. Start and spare servers are None unless `pm` is dynamic: FPM does
    not look at them otherwise, so whatever a file still says there is dropped. FPM's times are whole seconds
    (it reads ``500ms`` as 500 s), hence whole seconds here.

    Examples
    --------
    >>> pool = PoolSettings(pm="dynamic", max_children=20, min_spare_servers=2, max_spare_servers=6)
    >>> pool.start_servers, pool.spares
    (4, '4/2/6')
    >>> pool.model_copy(update={"pm": "static"})
    PoolSettings(pm='static', max_children=20)
    >>> pool.model_copy(update={"max_children": 5})
    Traceback (most recent call last):
    capacity.errors.InvalidInput: max_spare_servers must be at most max_children, 5; got 6
    """

    pm: Literal["static", "dynamic", "ondemand"] = Field(
        description="process manager of the pool", examples=["dynamic"]
    )
    max_children: int = Field(
        ge=1, le=MOST_PROCESSES, description="most workers at a time", examples=[20], json_schema_extra=PURE
    )
    min_spare_servers: Count | None = Field(
        None, ge=1, description="fewest idle workers", examples=[2], json_schema_extra=PURE
    )
    max_spare_servers: Count | None = Field(
        None, ge=1, description="most idle workers", examples=[6], json_schema_extra=PURE
    )
    start_servers: Count | None = Field(
        None, ge=1, description="workers at start", examples=[4], json_schema_extra=PURE
    )
    max_spawn_rate: Count | None = Field(
        None, ge=1, description="most workers forked at a time", json_schema_extra=PURE
    )
    process_idle_timeout: Count | None = Field(
        None,
        ge=1,
        description="how long an idle worker of an ondemand pool lives",
        examples=["10s"],
        json_schema_extra=SECONDS,
    )
    max_requests: Count | None = Field(
        None, ge=0, description="requests after which a worker is replaced, 0 for never", json_schema_extra=PURE
    )
    listen_backlog: Count | None = Field(
        None, ge=-1, description="waiting places asked of the kernel, -1 for all it gives", json_schema_extra=PURE
    )
    request_terminate_timeout: Count | None = Field(
        None,
        ge=0,
        description="time after which FPM kills a worker at work, 0 for never",
        examples=["30s"],
        json_schema_extra=SECONDS,
    )

    @property
    def spares(self) -> str:
        """Start, min-spare and max-spare servers as people write them, such as ``4/2/6``; empty unless dynamic."""
        shown = (self.start_servers, self.min_spare_servers, self.max_spare_servers)
        return "/".join(map(str, shown)) if self.pm == "dynamic" else ""

    def resized(self, workers: int) -> Self:
        """Copy with another ``max_children`` [-], and start and spare servers in proportion, each at least 1.

        Examples
        --------
        >>> PoolSettings(pm="dynamic", max_children=20, min_spare_servers=2, max_spare_servers=6).resized(45).spares
        '9/5/14'
        """
        spares = ("start_servers", "min_spare_servers", "max_spare_servers")
        now = {name: getattr(self, name) for name in spares if getattr(self, name) is not None}
        then = {
            name: max((2 * n * workers + self.max_children) // (2 * self.max_children), 1) for name, n in now.items()
        }
        return self.model_copy(update={"max_children": workers, **then})

    @field_validator("min_spare_servers", "max_spare_servers", "start_servers", mode="before")
    @classmethod
    def _only_for_dynamic(cls, value: Any, info: ValidationInfo) -> Any:
        return None if info.data.get("pm") in {"static", "ondemand"} else value

    # Each rule sits at the field that comes later in the chain, so that all broken ones are reported at once.
    @field_validator("min_spare_servers", "max_spare_servers")
    @classmethod
    def _spare(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("pm") == "dynamic":
            raise InvalidInput([Problem("", "is missing", hint="a dynamic pool needs it")])
        if info.field_name == "max_spare_servers":
            _at_least(value, info, "min_spare_servers")
        _at_most(value, info, "max_children")
        return value

    @field_validator("start_servers")
    @classmethod
    def _start(cls, value: int | None, info: ValidationInfo) -> int | None:
        least, most = info.data.get("min_spare_servers"), info.data.get("max_spare_servers")
        if value is None and least is not None and most is not None:
            return int(least + (most - least) // 2)
        _at_least(value, info, "min_spare_servers")
        _at_most(value, info, "max_spare_servers")
        return value


def _at_least(value: int | None, info: ValidationInfo, other: str) -> None:
    limit = info.data.get(other)
    if value is not None and limit is not None and value < limit:
        raise InvalidInput([Problem("", f"must be at least {other}, {limit}")])


def _at_most(value: int | None, info: ValidationInfo, other: str) -> None:
    limit = info.data.get(other)
    if value is not None and limit is not None and value > limit:
        raise InvalidInput([Problem("", f"must be at most {other}, {limit}")])
