"""The steps of a plan, one class an operation: what is done, to what, why, and what a failure leads to."""

from __future__ import annotations

import re
from typing import Annotated, Literal, NoReturn, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from capacity.errors import InvalidInput, Problem
from capacity.fields import BYTES, PURE, SECONDS
from capacity.plan.allowed import (
    DirectiveName,
    EnvKey,
    EnvPath,
    EnvValue,
    FileMode,
    FpmCommand,
    FpmProcess,
    Identifier,
    Owner,
    PathName,
    PhpCommand,
    PoolName,
    ProcessName,
    Service,
    Sha256,
    Url,
    Words,
    directive_value,
)
from capacity.presented import Presented
from capacity.units import shown

__all__ = [
    "Backup",
    "ClearConfigCache",
    "Edit",
    "IncludeLine",
    "PlanModel",
    "Reload",
    "Restore",
    "RollbackStep",
    "SetDirective",
    "SetEnv",
    "Step",
    "Validate",
    "VerifyHttp",
    "VerifyService",
]

OnFailure: TypeAlias = Literal["rollback", "stop"]


class PlanModel(Presented, BaseModel):
    """What all parts of a plan share: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Edit(PlanModel):
    """One change of bytes: at `offset` of the ORIGINAL file, `insert` takes the place of `remove`."""

    offset: int = Field(ge=0, le=2**20, description="offset in the original file", json_schema_extra=BYTES)
    line: int = Field(ge=1, description="number of that line, for people", json_schema_extra=PURE)
    remove: str = Field(max_length=200, description="what stands there, as UTF-8")
    insert: str = Field(max_length=200, description="what stands there afterwards, as UTF-8")


class PlanStep(PlanModel):
    """What all steps share."""

    id: Identifier
    reason: Words
    on_failure: OnFailure = Field(
        default="rollback", description="rollback: carry out the plan's rollback; stop: nothing was changed yet"
    )


class Backup(PlanStep):
    """Copy a file, with its mode and owner, to a place of its own."""

    op: Literal["backup"] = "backup"
    path: PathName
    backup_path: PathName
    on_failure: OnFailure = "stop"


class SetDirective(PlanStep):
    """Give a directive of a pool a value; all of one file are one write."""

    op: Literal["set_directive"] = "set_directive"
    path: PathName
    pool: PoolName
    directive: DirectiveName
    before: str | None = Field(max_length=64, description="text in effect today; null: the file does not say")
    after: str = Field(max_length=64, description="text in effect afterwards")
    edit: Edit

    @model_validator(mode="after")
    def _edit_says_what_the_step_says(self) -> Self:
        directive_value(self.directive, self.after)
        before = "" if self.before is None else self.before
        if re.fullmatch(r"[A-Za-z0-9._+-]*", before) is None:
            _refuse("before", "must be a plain value", before)
        if self.before is None:
            line = rf"[ \t]*{re.escape(self.directive)}[ \t]*=[ \t]*{re.escape(self.after)}"
            _check_edit(self.edit, "", rf"{line}\r?\n|\r?\n{line}")
        else:
            quote = self.edit.remove[:1] if self.edit.remove[:1] in ("'", '"') else ""
            after = rf"[ \t]?{quote}{re.escape(self.after)}{quote}"
            _check_edit(self.edit, f"{quote}{re.escape(before)}{quote}", after)
        return self


class SetEnv(PlanStep):
    """Give a key of an ``.env`` file a value."""

    op: Literal["set_env"] = "set_env"
    path: EnvPath
    key: EnvKey
    before: EnvValue | None = Field(description="driver in effect today; null: the file does not say")
    after: EnvValue
    edit: Edit

    @model_validator(mode="after")
    def _edit_says_what_the_step_says(self) -> Self:
        if self.before is None:
            # nothing after the =, or no such line: the key is added with it
            line = rf"(?:{self.key})?=?{self.after}"
            _check_edit(self.edit, r"''|\"\"|", rf"(?:\r?\n)?(?:{line}|'{self.after}'|\"{self.after}\")(?:\r?\n)?")
        else:
            quote = self.edit.remove[:1] if self.edit.remove[:1] in ("'", '"') else ""
            _check_edit(self.edit, f"{quote}{self.before}{quote}", f"{quote}{self.after}{quote}")
        return self


class IncludeLine(PlanModel):
    """The line of the main configuration that brings the pool file in, and all it brings in."""

    offset: int = Field(ge=0, le=2**20, description="where the line begins", json_schema_extra=BYTES)
    length: int = Field(ge=1, le=2**20, description="its length without the line end", json_schema_extra=BYTES)
    files: tuple[PathName, ...] = Field(min_length=1, description="the files, in the order FPM reads them")


class Validate(PlanStep):
    """Have FPM accept the candidate before it takes the file's place, and the whole configuration afterwards."""

    op: Literal["validate"] = "validate"
    path: PathName = Field(description="the pool file whose candidate is judged")
    config: PathName = Field(description="the main configuration")
    include: IncludeLine | None = Field(description="null: the pool file is the main configuration itself")
    argv: FpmCommand = Field(description="the command; its last word is the main configuration")
    expect_exit: Literal[0] = Field(default=0, description="what php-fpm -t ends with where it accepts")
    timeout: int = Field(default=30, ge=1, le=3600, json_schema_extra=SECONDS)

    @model_validator(mode="after")
    def _command_judges_the_configuration(self) -> Self:
        if self.argv[1:] != ("-t", "-y", self.config):
            _refuse("argv", f"must be php-fpm -t -y {self.config}", " ".join(self.argv))
        if (self.include is None) != (self.config == self.path):
            _refuse("include", "must be null exactly where path is config", str(self.include))
        if self.include is not None and self.path not in self.include.files:
            _refuse("include.files", f"must hold {self.path}", ", ".join(self.include.files))
        return self


class Reload(PlanStep):
    """Have a running FPM take over the configuration: systemd where it runs, else SIGUSR2."""

    op: Literal["reload"] = "reload"
    service: Service
    pid_file: PathName | None = Field(description="null: only systemd knows the process")
    config: PathName
    processes: tuple[FpmProcess, ...] = Field(min_length=1, description="names its main process may have")
    argv: FpmCommand = Field(description="starts FPM where it is no longer running and systemd does not run")
    timeout: int = Field(ge=1, le=3600, description="until the old workers are gone", json_schema_extra=SECONDS)

    @model_validator(mode="after")
    def _command_starts_the_configuration(self) -> Self:
        if self.argv[1:] != ("-D", "-y", self.config):
            _refuse("argv", f"must be php-fpm -D -y {self.config}", " ".join(self.argv))
        return self


class ClearConfigCache(PlanStep):
    """Have the application take over its ``.env``, as the application's user."""

    op: Literal["clear_config_cache"] = "clear_config_cache"
    application: PathName = Field(description="working directory: the one that holds artisan")
    user: Owner
    argvs: tuple[PhpCommand, ...] = Field(min_length=2, max_length=2)
    timeout: int = Field(default=60, ge=1, le=3600, json_schema_extra=SECONDS)

    @model_validator(mode="after")
    def _commands_are_the_two_known_ones(self) -> Self:
        said = [argv[1:] for argv in self.argvs]
        if said not in (
            [("artisan", "config:cache"), ("artisan", "cache:clear")],
            [("artisan", "config:clear"), ("artisan", "cache:clear")],
        ):
            words = "; ".join(" ".join(argv) for argv in self.argvs)
            _refuse("argvs", "must be php artisan config:cache (or config:clear), then php artisan cache:clear", words)
        return self


class VerifyService(PlanStep):
    """See that a service is there."""

    op: Literal["verify_service"] = "verify_service"
    service: Service
    pid_file: PathName | None = Field(description="null: only systemd knows the process")
    config: PathName | None = Field(description="its configuration, where the plan knows it")
    processes: tuple[ProcessName, ...] = Field(min_length=1, description="names its main process may have")
    timeout: int = Field(default=10, ge=1, le=3600, json_schema_extra=SECONDS)


class VerifyHttp(PlanStep):
    """See that the site answers."""

    op: Literal["verify_http"] = "verify_http"
    url: Url
    expect_status: int = Field(default=200, ge=100, le=599)
    attempts: int = Field(default=5, ge=1, le=60, description="a second apart", json_schema_extra=PURE)
    timeout: int = Field(default=10, ge=1, le=600, description="of one attempt", json_schema_extra=SECONDS)


class Restore(PlanStep):
    """Put a file back as it was, from the backup."""

    op: Literal["restore"] = "restore"
    path: PathName
    backup_path: PathName
    sha256: Sha256
    mode: FileMode
    owner: Owner
    group: Owner
    on_failure: OnFailure = "stop"


Step: TypeAlias = Annotated[
    Backup | SetDirective | SetEnv | Validate | Reload | ClearConfigCache | VerifyService | VerifyHttp,
    Field(discriminator="op"),
]
RollbackStep: TypeAlias = Annotated[
    Restore | Validate | Reload | ClearConfigCache | VerifyService | VerifyHttp, Field(discriminator="op")
]


def _refuse(field: str, rule: str, value: str) -> NoReturn:
    raise InvalidInput([Problem(field, rule, shown(value), "was the plan edited by hand?")])


def _check_edit(edit: Edit, remove: str, insert: str) -> None:
    """Refuse an edit that does more, or something else, than the step says: these are patterns of the whole text."""
    if re.fullmatch(remove, edit.remove, re.IGNORECASE) is None:
        _refuse("edit.remove", "must be what the step's before says", edit.remove)
    if re.fullmatch(insert, edit.insert) is None:
        _refuse("edit.insert", "must be what the step's after says", edit.insert)
