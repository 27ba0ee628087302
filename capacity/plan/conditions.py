"""What must hold on the host before a plan is carried out, what holds afterwards, and what may go wrong."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from capacity.fields import BYTES
from capacity.plan.allowed import (
    EnvName,
    Extension,
    FileMode,
    FpmBinary,
    Identifier,
    Owner,
    Package,
    PathName,
    PhpVersion,
    ProcessName,
    Service,
    Sha256,
    Url,
    Words,
)
from capacity.plan.steps import PlanModel

__all__ = [
    "ComposerPackage",
    "EnvKeySet",
    "FileSha256",
    "FpmVersion",
    "HttpStatus",
    "PhpExtension",
    "Precondition",
    "Risk",
    "ServiceActive",
]


class FileSha256(PlanModel):
    """A regular file, no symbolic link, is exactly this one."""

    kind: Literal["file_sha256"] = "file_sha256"
    path: PathName
    sha256: Sha256
    size: int = Field(ge=0, le=2**20, json_schema_extra=BYTES)
    mode: FileMode
    owner: Owner
    group: Owner


class FpmVersion(PlanModel):
    """The binary is this release of PHP."""

    kind: Literal["fpm_version"] = "fpm_version"
    binary: FpmBinary
    version: PhpVersion


class ServiceActive(PlanModel):
    """A service runs: as systemd says where it runs, else as the pid file and the process's name say."""

    kind: Literal["service_active"] = "service_active"
    service: Service
    pid_file: PathName | None
    processes: tuple[ProcessName, ...] = Field(min_length=1, description="names its main process may have")


class EnvKeySet(PlanModel):
    """A key of an ``.env`` file has a value that is not empty; which one is nobody's business here."""

    kind: Literal["env_key_set"] = "env_key_set"
    path: PathName
    key: EnvName


class PhpExtension(PlanModel):
    """FPM's PHP has loaded an extension."""

    kind: Literal["php_extension"] = "php_extension"
    binary: FpmBinary
    extension: Extension


class ComposerPackage(PlanModel):
    """The application has a package below its vendor directory."""

    kind: Literal["composer_package"] = "composer_package"
    application: PathName
    package: Package


class HttpStatus(PlanModel):
    """The site answers this already today: a site that is broken before the change is not changed."""

    kind: Literal["http_status"] = "http_status"
    url: Url
    status: int = Field(ge=100, le=599)


Precondition: TypeAlias = Annotated[
    FileSha256 | FpmVersion | ServiceActive | EnvKeySet | PhpExtension | ComposerPackage | HttpStatus,
    Field(discriminator="kind"),
]


class Risk(PlanModel):
    """What may go wrong, found from the facts of this host."""

    code: Identifier
    severity: Literal["info", "warning", "danger"]
    message: Words
    step_ids: tuple[Identifier, ...] = ()
