"""What a plan may name: closed lists and narrow forms, so that no name can carry a second meaning.

A plan is written on one machine and carried out on another, as root. Every text in it that reaches a file, a
command line or a shell is of one of these forms, checked when a plan is built and again when it is read. They are
narrower than what FPM, systemd or a file system would take.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from capacity.errors import InvalidInput, Problem
from capacity.fpm.editor import EDITABLE, FORMS
from capacity.units import shown

__all__ = [
    "DirectiveName",
    "DriverWord",
    "EnvKey",
    "EnvName",
    "EnvPath",
    "EnvValue",
    "Extension",
    "FileMode",
    "FpmBinary",
    "FpmCommand",
    "FpmProcess",
    "Identifier",
    "Moment",
    "Owner",
    "Package",
    "PathName",
    "PhpCommand",
    "PhpVersion",
    "PoolName",
    "ProcessName",
    "Service",
    "Sha256",
    "Url",
    "Words",
    "checked",
    "directive_value",
]

DirectiveName = Literal[
    "pm",
    "pm.max_children",
    "pm.start_servers",
    "pm.min_spare_servers",
    "pm.max_spare_servers",
    "pm.max_spawn_rate",
    "pm.process_idle_timeout",
    "pm.max_requests",
    "listen.backlog",
    "request_terminate_timeout",
]
"""The directives a plan may set: sizes and times, nothing that says who runs what, or where."""

EnvKey = Literal["SESSION_DRIVER", "CACHE_STORE", "CACHE_DRIVER"]
"""The keys of a Laravel ``.env`` a plan may set."""

DriverWord = Literal["database", "redis", "other"]
"""What a plan tells of a driver that it does not set."""

# Letters of any script, and these; no quote, backslash, $, glob or shell sign, and no control character.
_PATH_SIGNS = frozenset("/._-+@:,=~ ")
_LONGEST_PATH = 1000
_FPM = re.compile(r"(?:/[^\0]*/)?php-fpm[0-9.]{0,8}")
_PHP = re.compile(r"(?:/[^\0]*/)?php[0-9.]{0,8}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]")
_URL_REST = re.compile(r"[A-Za-z0-9/_.~%?&=+,:@-]*")


def _refuse(rule: str, text: str, hint: str = "") -> NoReturn:
    raise InvalidInput([Problem("", rule, shown(text), hint)])


def _of_form(pattern: str, rule: str) -> AfterValidator:
    form = re.compile(pattern)

    def check(text: str) -> str:
        # fullmatch: a $ in a pattern would let a final newline through
        if form.fullmatch(text) is None:
            _refuse(rule, text)
        return text

    return AfterValidator(check)


def _pattern(pattern: str, description: str | None = None) -> Any:
    """For the JSON Schema only: what is refused is refused by the check beside it, in our words."""
    return Field(description=description, json_schema_extra={"pattern": pattern})


def _check_path(text: str) -> str:
    plain = text.isprintable() and all(sign.isalnum() or sign in _PATH_SIGNS for sign in text)
    if not text.startswith("/") or not plain or len(text) > _LONGEST_PATH:
        signs = "letters, digits, blanks and . _ - + @ : , = ~"
        _refuse(f"must be an absolute path of {signs}, at most {_LONGEST_PATH} characters", text)
    if str(PurePosixPath(text)) != text or ".." in PurePosixPath(text).parts or text.startswith("//"):
        _refuse("must be a path without .., . or doubled /", text)
    if any(part != part.strip() for part in text.split("/")):
        _refuse("must have no part that starts or ends with a blank", text)
    return text


def _check_env_path(text: str) -> str:
    if not PurePosixPath(text).name.startswith(".env"):
        _refuse("must be a file called .env or .env.something", text)
    return text


def _check_url(text: str) -> str:
    hint = "such as http://127.0.0.1/health"
    if not text.isascii() or not text.isprintable() or len(text) > _LONGEST_PATH:
        _refuse("must be an http or https address in plain characters", text, hint)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        _refuse("must be an http or https address", text, hint)
    if "@" in parts.netloc:
        # not quoted: what stands before the @ is a password
        raise InvalidInput([Problem("", "must not hold a user name or password", "one that does", hint)])
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    rest = text[len(parts.scheme) + 3 + len(parts.netloc) :]
    if parts.scheme not in {"http", "https"} or _HOST.fullmatch(host) is None or _URL_REST.fullmatch(rest) is None:
        _refuse("must be an http or https address with a host and a plain path", text, hint)
    return text


def _check_fpm(text: str) -> str:
    if _FPM.fullmatch(text) is None:
        _refuse("must be php-fpm or php-fpmN.N, or a path to it", text)
    return _check_path(text) if "/" in text else text


def _check_words(text: str) -> str:
    if not text.isprintable() or len(text) > 2000:
        _refuse("must be one printable line of at most 2000 characters", text)
    return text


def _check_command(program: re.Pattern[str], rule: str) -> AfterValidator:
    def check(argv: tuple[str, ...]) -> tuple[str, ...]:
        if program.fullmatch(argv[0]) is None:
            _refuse(rule, argv[0])
        for word in argv:
            if word.startswith("/"):
                _check_path(word)
            elif re.fullmatch(r"[A-Za-z0-9_.:=-]{1,64}", word) is None:
                _refuse("must be a path, or letters, digits and _ . : = -", word)
        return argv

    return AfterValidator(check)


def directive_value(directive: str, text: str) -> str:
    """Check that a text is a value of this directive that needs no quotes and hides nothing.

    Examples
    --------
    >>> directive_value("pm.max_children", "40")
    '40'
    >>> directive_value("pm.max_children", "40 ; more")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: must be a whole number; got '40 ; more'
    """
    form, rule = FORMS[EDITABLE[directive]]
    # a plan has one spelling of pm, FPM any
    if form.fullmatch(text) is None or text != text.lower():
        _refuse(rule, text)
    return text


def checked(kind: Any, text: str, *, name: str) -> str:
    """Check a text of one of these kinds that comes from elsewhere, an option for instance.

    Examples
    --------
    >>> checked(Service, "a b", name="--service")
    Traceback (most recent call last):
    capacity.errors.InvalidInput: --service must be the name of a service, such as php8.2-fpm; got 'a b'
    """
    try:
        return str(TypeAdapter(kind).validate_python(text, strict=True))
    except ValidationError as error:
        causes = [details["ctx"]["error"] for details in error.errors() if "ctx" in details]
        problems = [problem for cause in causes for problem in cause.problems]
        raise InvalidInput(replace(problem, field=name) for problem in problems) from None


Sha256 = Annotated[str, _pattern("^[0-9a-f]{64}$"), _of_form("[0-9a-f]{64}", "must be a sha256 in hexadecimal")]
PathName = Annotated[str, _pattern("^/"), AfterValidator(_check_path)]
PoolName = Annotated[
    str,
    _pattern("^[A-Za-z0-9_.-]{1,64}$"),
    _of_form("(?!(?i:global)$)[A-Za-z0-9_.-]{1,64}", "must be 1 to 64 letters, digits, _, . or -, and not global"),
]
# reload of reboot.target is no reload
_OTHER_UNITS = "target|socket|device|mount|automount|swap|path|timer|slice|scope"
_SERVICE = rf"(?!.*\.(?:{_OTHER_UNITS})$)[A-Za-z0-9][A-Za-z0-9@_.:-]{{0,99}}"
Service = Annotated[
    str,
    _pattern("^[A-Za-z0-9][A-Za-z0-9@_.:-]{0,99}$"),
    _of_form(_SERVICE, "must be the name of a service, such as php8.2-fpm"),
]
ProcessName = Annotated[
    str,
    _pattern("^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$", "as in /proc/PID/comm: at most 15 characters"),
    _of_form("[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", "must be the name of a process, at most 15 characters"),
]
FpmProcess = Annotated[
    str,
    _pattern("^php-fpm[0-9.]{0,8}$", "as in /proc/PID/comm"),
    _of_form("php-fpm[0-9.]{0,8}", "must be php-fpm or php-fpmN.N"),
]
EnvPath = Annotated[PathName, AfterValidator(_check_env_path)]
Owner = Annotated[
    str,
    _pattern("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"),
    _of_form("[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", "must be a user or group name, or a number"),
]
FileMode = Annotated[
    str,
    _pattern("^[0-7]{4}$", "permissions in octal, such as 0640"),
    _of_form("[0-7]{4}", "must be four octal digits"),
]
Identifier = Annotated[
    str, _pattern("^[a-z0-9][a-z0-9-]{0,63}$"), _of_form("[a-z0-9][a-z0-9-]{0,63}", "must be a-z, 0-9 and -")
]
EnvValue = Annotated[
    str,
    _pattern("^[a-z][a-z0-9_-]{0,31}$"),
    _of_form("[a-z][a-z0-9_-]{0,31}", "must be the name of a driver: a-z, 0-9, _ and -"),
]
EnvName = Annotated[
    str,
    _pattern("^[A-Z][A-Z0-9_]{0,63}$"),
    _of_form("[A-Z][A-Z0-9_]{0,63}", "must be the name of a variable: A-Z, 0-9 and _"),
]
PhpVersion = Annotated[
    str,
    _pattern(r"^[0-9]{1,2}\.[0-9]{1,2}$", "major and minor, such as 8.2"),
    _of_form(r"[0-9]{1,2}\.[0-9]{1,2}", "must be major and minor, such as 8.2"),
]
Extension = Annotated[
    str, _pattern("^[a-z][a-z0-9_]{0,31}$"), _of_form("[a-z][a-z0-9_]{0,31}", "must be the name of an extension")
]
Package = Annotated[
    str,
    _pattern("^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$"),
    _of_form("(?!.*[.][.])[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}", "must be vendor/package"),
]


def _check_moment(text: str) -> str:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        _refuse("must be a moment in UTC, such as 2026-11-24T12:30:00Z", text)
    return text


_MOMENT = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
Moment = Annotated[
    str,
    _pattern(f"^{_MOMENT}$"),
    _of_form(_MOMENT, "must be a moment in UTC, such as 2026-11-24T12:30:00Z"),
    AfterValidator(_check_moment),
]
Url = Annotated[str, _pattern("^https?://"), AfterValidator(_check_url)]
Words = Annotated[str, Field(description="for people: one printable line"), AfterValidator(_check_words)]
FpmBinary = Annotated[str, AfterValidator(_check_fpm)]
FpmCommand = Annotated[
    tuple[str, ...], Field(min_length=1, max_length=8), _check_command(_FPM, "must run php-fpm or php-fpmN.N")
]
PhpCommand = Annotated[
    tuple[str, ...], Field(min_length=1, max_length=8), _check_command(_PHP, "must run php or phpN.N")
]
