"""The four tables every plan starts from: `Host`, `Worker`, `Workload` and `Objective`.

Numbers are SI, text carries its unit. A rule between two fields sits at the later one, so that one look at a
scenario reports every field that is wrong.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from capacity.errors import InvalidInput, Problem
from capacity.fields import BYTES, PER_SECOND, PURE, SECONDS, Count, InputModel, Size, read_quantity
from capacity.units import format_bytes, format_seconds

__all__ = ["Host", "Objective", "Worker", "Workload"]


# Bounds far outside anything a web server sees; beyond them results would leave the range of their units.
SHORTEST = 1e-9  # s
_LONGEST = 1e7  # s, four months
LEAST_BUSY = 0.01


class Host(InputModel):
    """The machine the workers live on.

    Parameters
    ----------
    ram : int
        Memory of the host [byte], above 0.
    reserved : int
        Memory that is not PHP's: system, database, cache, web server [byte], below `ram`.
    cpus : float
        CPU cores PHP may use [-], above 0; a fraction where a cgroup quota says so.
    cpus_reserved : float
        Cores that other work keeps busy on average [-], below `cpus`: a database, a cache, jobs on the same host.
    database_connections : int, optional
        Connections the database accepts [-].
    database_connections_reserved : int
        Those of them that are not PHP's [-].
    somaxconn : int, optional
        The kernel's ``net.core.somaxconn`` [-], the most requests it lets wait for a worker. Where it is not known,
        Linux's default since 5.4 is taken, 4096; before it was 128.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> Host(ram="4GiB", reserved="1.5GiB", cpus=4)
    Host(ram=4294967296, reserved=1610612736, cpus=4.0)
    >>> Host(ram="4GiB", reserved="5GiB", cpus=4)
    Traceback (most recent call last):
    capacity.errors.InvalidInput: reserved must be less than ram, 4.00 GiB; got '5GiB'
    """

    ram: Size = Field(gt=0, description="memory of the host", examples=["4GiB"], json_schema_extra=BYTES)
    reserved: Size = Field(ge=0, description="memory that is not PHP's", examples=["1.5GiB"], json_schema_extra=BYTES)
    cpus: float = Field(gt=0, le=65536, description="CPU cores PHP may use", examples=[4], json_schema_extra=PURE)
    cpus_reserved: float = Field(
        0, ge=0, description="CPU cores that other work keeps busy", examples=[0.5], json_schema_extra=PURE
    )
    database_connections: Count | None = Field(
        None, ge=1, description="connections the database accepts", examples=[151], json_schema_extra=PURE
    )
    database_connections_reserved: Count = Field(
        0, ge=0, description="database connections that are not PHP's", examples=[10], json_schema_extra=PURE
    )

    somaxconn: Count | None = Field(
        None, ge=1, description="most requests the kernel lets wait", examples=[4096], json_schema_extra=PURE
    )

    @property
    def cores_left(self) -> float:
        """Cores that other work leaves to PHP and its web server [-]."""
        return self.cpus - self.cpus_reserved

    @field_validator("reserved")
    @classmethod
    def _leaves_memory(cls, value: int, info: ValidationInfo) -> int:
        ram = info.data.get("ram")
        if ram is not None and value >= ram:
            raise InvalidInput([Problem("", f"must be less than ram, {format_bytes(ram)}")])
        return value

    @field_validator("cpus_reserved")
    @classmethod
    def _leaves_cores(cls, value: float, info: ValidationInfo) -> float:
        cpus = info.data.get("cpus")
        if cpus is not None and value >= cpus:
            raise InvalidInput([Problem("", f"must be less than cpus, {cpus:g}")])
        return value

    @field_validator("database_connections_reserved")
    @classmethod
    def _leaves_connections(cls, value: int, info: ValidationInfo) -> int:
        connections = info.data.get("database_connections")
        if connections is not None and value >= connections:
            raise InvalidInput([Problem("", f"must be less than database_connections, {connections}")])
        return value


class Worker(InputModel):
    """One PHP-FPM worker.

    Parameters
    ----------
    memory : int
        Private memory at the peak of a request [byte], above 0; shared pages not counted.
    shared_memory : int
        Memory all workers share: OPcache, libraries, the master; counted once [byte].
    database_connections : int
        Connections one busy worker holds [-].

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> Worker(memory="64MiB", shared_memory="128MiB")
    Worker(memory=67108864, shared_memory=134217728)
    """

    memory: Size = Field(
        gt=0,
        description="private memory of one worker at the peak of a request",
        examples=["64MiB"],
        json_schema_extra=BYTES,
    )
    shared_memory: Size = Field(
        0, ge=0, description="memory all workers share, counted once", examples=["128MiB"], json_schema_extra=BYTES
    )
    database_connections: Count = Field(
        1, ge=0, description="database connections one busy worker holds", examples=[1], json_schema_extra=PURE
    )


class Workload(InputModel):
    """What is asked of the pool: how long a request takes, and how many arrive.

    Parameters
    ----------
    service_time : float
        Time one request holds a worker at light load, I/O waits included [s], above 0.
    cpu_time : float, optional
        CPU seconds one request needs [s], at most `service_time`; None is unknown.
    database_time : float, optional
        Time a request holds a database connection [s], at most `service_time`.
    service_scv : float
        Squared coefficient of variation of the service time [-]; 1 is exponential, any other is taken as lognormal
        (0: constant) in the open model, up to 4.
    users : int, optional
        People at the same time [-], at least 1; needs `think_time`, excludes `arrival_rate`.
    think_time : float, optional
        Pause between a user's answer and the next request [s].
    arrival_rate : float, optional
        Requests offered [1/s]; excludes `users`. With neither, a pool is sized to its ceilings only.
    requests_per_click : float
        PHP requests one user action makes [-], above 0.
    overhead_time : float
        Time a request holds its worker beside `service_time` [s]: about 0.3 ms where `service_time` is a mean of FPM's
        ``%d``, which does not contain FPM's own handling of a request.
    web_server_cpu_time : float
        CPU seconds the web server spends on a request [s], where it shares the host; counted with `cpu_time`.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> Workload(service_time="250ms", users=150, think_time="1s")
    Workload(service_time=0.25, users=150, think_time=1.0)
    >>> Workload(service_time=-0.2)
    Traceback (most recent call last):
    capacity.errors.InvalidInput: service_time must be greater than 0 s; got -0.2
    """

    service_time: float = Field(
        gt=0,
        le=_LONGEST,
        description="time one request holds a worker at light load",
        examples=["250ms"],
        json_schema_extra=SECONDS,
    )
    cpu_time: float | None = Field(
        None, ge=0, description="CPU time one request needs", examples=["60ms"], json_schema_extra=SECONDS
    )
    database_time: float | None = Field(
        None,
        ge=0,
        description="time a request holds a database connection",
        examples=["100ms"],
        json_schema_extra=SECONDS,
    )
    service_scv: float = Field(
        1,
        ge=0,
        le=1e6,
        description="squared coefficient of variation of the service time",
        examples=[1],
        json_schema_extra=PURE,
    )
    users: Count | None = Field(
        None, ge=1, description="people at the same time", examples=[150], json_schema_extra=PURE
    )
    think_time: float | None = Field(
        None,
        ge=0,
        le=_LONGEST,
        description="pause between a user's answer and the next request",
        examples=["1s"],
        json_schema_extra=SECONDS,
    )
    arrival_rate: float | None = Field(
        None, ge=0, le=1e12, description="requests offered", examples=["120/s"], json_schema_extra=PER_SECOND
    )
    requests_per_click: float = Field(
        1, gt=0, le=1e6, description="PHP requests one user action makes", examples=[1], json_schema_extra=PURE
    )
    overhead_time: float = Field(
        0,
        ge=0,
        le=_LONGEST,
        description="time a request holds its worker beside service_time",
        examples=["0.3ms"],
        json_schema_extra=SECONDS,
    )
    web_server_cpu_time: float = Field(
        0,
        ge=0,
        le=_LONGEST,
        description="CPU time the web server spends on a request",
        examples=["0.2ms"],
        json_schema_extra=SECONDS,
    )

    @property
    def hold_time(self) -> float:
        """Time a request holds a worker at light load, with all that is spent beside its script [s]."""
        return self.service_time + (self.overhead_time + self.web_server_cpu_time)

    @property
    def cpu_demand(self) -> float | None:
        """CPU time of a request, the web server's share with it [s]; None where PHP's is not known."""
        return None if self.cpu_time is None else self.cpu_time + self.web_server_cpu_time

    @field_validator("service_time")
    @classmethod
    def _measurable(cls, value: float) -> float:
        if value < SHORTEST:
            raise InvalidInput([Problem("", f"must be at least {SHORTEST:g} s")])
        return value

    @field_validator("cpu_time", "database_time")
    @classmethod
    def _within_the_service(cls, value: float | None, info: ValidationInfo) -> float | None:
        service_time = info.data.get("service_time")
        if value is not None and service_time is not None and value > service_time:
            raise InvalidInput([Problem("", f"must be at most service_time, {format_seconds(service_time)}")])
        return value

    @field_validator("think_time")
    @classmethod
    def _known_for_users(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None and info.data.get("users") is not None:
            hint = "users make no load until their pause between clicks is known, such as 1s"
            raise InvalidInput([Problem("", "is missing", hint=hint)])
        return value

    @field_validator("arrival_rate")
    @classmethod
    def _one_load(cls, value: float | None, info: ValidationInfo) -> float | None:
        users = info.data.get("users")
        if value is not None and users is not None:
            hint = f"users is {users}: two statements of one load; leave one of them out"
            raise InvalidInput([Problem("", "cannot be given together with users", hint=hint)])
        return value


class Objective(InputModel):
    """What the pool has to achieve.

    Parameters
    ----------
    response_time : float, optional
        Time within which an answer is due [s], above 0; None sets no such target.
    percentile : float
        Share of the answers that must be in time [-], above 0 and below 1.
    max_utilization : float
        Largest busy share of a worker [-], above 0 and below 1: at 1 an open queue never ends.
    apdex_time : float, optional
        Time within which a user is satisfied [s], above 0; within four times of it, tolerates it. With it predictions
        say their Apdex.
    apdex : float, optional
        Least share of satisfied users, those who tolerate it counted half [-], above 0 and below 1; needs `apdex_time`.
        None sets no such target. Beside a `response_time` both must be kept.

    Raises
    ------
    InvalidInput
        With every field that breaks a rule.

    Examples
    --------
    >>> Objective(response_time="500ms")
    Objective(response_time=0.5)
    >>> Objective(percentile=95)
    Traceback (most recent call last):
    capacity.errors.InvalidInput: percentile must be a fraction below 1; got 95 (for 95 % write 0.95)
    """

    response_time: float | None = Field(
        None,
        gt=0,
        le=_LONGEST,
        description="time within which an answer is due",
        examples=["500ms"],
        json_schema_extra=SECONDS,
    )
    percentile: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="share of the answers that must be in time",
        examples=[0.95],
        json_schema_extra=PURE,
    )
    max_utilization: float = Field(
        0.8, gt=0, lt=1, description="largest busy share of a worker", examples=[0.8], json_schema_extra=PURE
    )
    apdex_time: float | None = Field(
        None,
        gt=0,
        le=_LONGEST,
        description="time within which a user is satisfied",
        examples=["500ms"],
        json_schema_extra=SECONDS,
    )
    apdex: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="least share of satisfied users, those who tolerate it counted half",
        examples=[0.9],
        json_schema_extra=PURE,
    )

    @field_validator("max_utilization")
    @classmethod
    def _leaves_something(cls, value: float) -> float:
        if value < LEAST_BUSY:
            raise InvalidInput([Problem("", f"must be at least {LEAST_BUSY:g}")])
        return value

    @field_validator("apdex")
    @classmethod
    def _at_a_time(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("apdex_time", value) is None:
            hint = "the time within which a user is satisfied, such as 500ms"
            raise InvalidInput([Problem("", "needs apdex_time", hint=hint)])
        return value

    @field_validator("percentile", "max_utilization", "apdex", mode="before")
    @classmethod
    def _is_no_percentage(cls, value: Any) -> Any:
        number = read_quantity(value, "1")
        if isinstance(number, int | float) and 1 < number < 100:
            hint = f"for {number:g} % write {number / 100:g}"
            raise InvalidInput([Problem("", "must be a fraction below 1", hint=hint)])
        return value
