r"""Read and set a few keys of a Laravel ``.env`` and nothing else: bytes in, values and edits out.

Values are read as python-dotenv reads them. Laravel reads the file with phpdotenv 5; where the two might see different
assignments the file is refused, because an edit could miss the one in effect. The values of all other keys are
secrets: they are stepped over, never kept, and errors name lines, never what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from capacity.errors import InvalidInput, Problem
from capacity.splices import Splice, spliced
from capacity.units import shown

__all__ = ["Assignment", "env_splice", "read_env", "set_env"]

_BOM: Final = "\ufeff"
_KEY: Final = re.compile("[A-Z][A-Z0-9_]{0,63}")
_VALUE: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_NEWLINE: Final = re.compile(r"\r\n?|\n")
# One statement up to the next one; possessive, so that the time is linear. Blanks are spaces and tabs: each reader has
# its own idea of others. Before a comment they are not skipped, so that an empty value stands right behind its "=". A
# \' that ends a line's last quotes is no escape: to phpdotenv, which knows none there, the value ends with it.
_STATEMENT: Final = re.compile(
    r"""
    [ \t]*+ (?:
        (?: export [ \t]++ )?+  (?P<name> '(?P<quoted> [^'\r\n]++ )' | [^=\#\s'"] [^=\#\s]*+ )  [ \t]*+
        (?: = (?: (?! [ \t]++ \# ) [ \t]++ )?+
            (?P<value> ' (?: [^'\\]++ | \\ (?! ' [ \t]*+ (?: \# [^'\r\n]*+ )?+ [\r\n] ) . )*+ '
                     | " (?: [^"\\]++ | \\ . )*+ "
                     | [^'"\s] (?: [^ \t\r\n]++ | [ \t]++ (?! [\#\r\n] | \Z ) )*+
                     | )
        )?+ )?+
    [ \t]*+ (?: \# [^\r\n]*+ )?+ (?: [\r\n] [ \t\r\n]*+ | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_ODD_BLANK: Final = re.compile(r"[^\S \t]")
_ESCAPE: Final = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
_ESCAPED: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_PHP_QUOTE: Final = re.compile(r'[^\\](?=")')


@dataclass(frozen=True)
class Assignment:
    """The assignment that is in effect for one key: the last one.

    `value` is as python-dotenv reads it, escapes decoded, and None for a bare ``KEY``. `line` counts from 1. `start`
    and `end` are the bytes of the value as written: quotes included, blanks and comment not. `interpolated`: it holds
    ``${``, not in single quotes, so what it comes to is not known here. `duplicates` is how many it overrides.
    """

    key: str
    value: str | None = field(repr=False)
    line: int
    start: int
    end: int
    quote: str
    interpolated: bool
    duplicates: int


def read_env(data: bytes, keys: Iterable[str]) -> dict[str, Assignment]:
    r"""Read the assignments of some keys, and of no others.

    Parameters
    ----------
    data : bytes
        The content of the file.
    keys : iterable of str
        Each at most 64 capital letters, digits and ``_``, a letter first.

    Returns
    -------
    dict of str to Assignment
        Without the keys that are not in the file.

    Raises
    ------
    InvalidInput
        A file that is not UTF-8, holds a NUL byte or is larger than 1 MiB; a quote that is not closed; another line
        that cannot be read and names a key; an assignment that phpdotenv takes for a part of another value; odd blanks.

    Examples
    --------
    >>> found = read_env(b"APP_KEY=secret\nCACHE_STORE = 'file' # was redis\n", ["CACHE_STORE", "CACHE_DRIVER"])
    >>> found["CACHE_STORE"].value, found["CACHE_STORE"].line, list(found)
    ('file', 2, ['CACHE_STORE'])
    """
    asked = frozenset(keys)
    for key in asked:
        _check_form("key", key, _KEY, "CACHE_STORE")
    text = _text(data)
    last: dict[str, tuple[re.Match[str], int]] = {}
    for key, match in _statements(text, asked):
        last[key] = match, last[key][1] + 1 if key in last else 0
    found = {key: _assignment(key, match, duplicates) for key, (match, duplicates) in last.items()}
    _check_visible(text, {item.line - 1 for item in found.values()})
    return found


def env_splice(data: bytes, key: str, value: str) -> Splice | None:
    r"""Give the one change that sets a key.

    Parameters
    ----------
    data : bytes
        The content of the file.
    key, value : str
        The key as for `read_env`; of the value at most 128 letters, digits and ``_ . : / -``, a letter or digit first.

    Returns
    -------
    Splice or None
        None if the key has that value. The value of the last assignment changes within its quotes; a bare ``KEY`` gets
        a value; a key that is not there becomes the last line, with the line end of the one before it.

    Raises
    ------
    InvalidInput
        What `read_env` refuses; a key or value of another form; a present value with ``${``, of several lines, or
        unquoted with a ``#`` in it, where a comment begins for phpdotenv alone.

    Examples
    --------
    >>> env_splice(b"export CACHE_STORE='file' # c\r\n", "CACHE_STORE", "redis")
    Splice(offset=19, remove=b"'file'", insert=b"'redis'")
    """
    _check_form("value", value, _VALUE, "redis")
    found = read_env(data, [key]).get(key)
    if found is not None and found.value == value:
        return None
    splice = _added_line(data, f"{key}={value}") if found is None else _changed_value(data, found, value)
    after = spliced(data, [splice])
    line = _line(after.decode().rstrip()) if found is None else found.line
    for content in (data, after):
        _check_visible(_text(content), {line - 1, line})
    return splice


def set_env(data: bytes, key: str, value: str) -> bytes:
    r"""Set a key; parameters and errors are those of `env_splice`.

    Examples
    --------
    >>> set_env(b"SESSION_DRIVER=file\r\nSESSION_LIFETIME=120", "CACHE_STORE", "redis")
    b'SESSION_DRIVER=file\r\nSESSION_LIFETIME=120\r\nCACHE_STORE=redis'
    """
    splice = env_splice(data, key, value)
    return data if splice is None else spliced(data, [splice])


def _check_form(name: str, text: object, form: re.Pattern[str], example: str) -> None:
    if not isinstance(text, str) or form.fullmatch(text) is None:
        raise InvalidInput([Problem(name, f"must be of the form {form.pattern}", shown(text), f"such as {example}")])


def _refusal(line: int, rule: str, hint: str) -> InvalidInput:
    return InvalidInput([Problem(f"line {line} of the .env file", rule, "", hint)])


def _line(before: str) -> int:
    return len(_NEWLINE.findall(before)) + 1


def _text(data: bytes) -> str:
    if len(data) > 1 << 20:
        raise InvalidInput([Problem("the .env file", "must be at most 1 MiB", f"{len(data)} bytes")])
    try:
        text, bad = data.decode(), ""
    except UnicodeDecodeError as error:  # it carries the whole content: nothing is raised while it is handled
        text, bad = data[: error.start].decode(), "must be UTF-8"
    if "\0" in text:
        text, bad = text.partition("\0")[0], "must be text without NUL bytes"
    if bad:
        raise _refusal(_line(text), bad, "is it the right file?")
    return text


def _statements(text: str, asked: frozenset[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Every statement that names a key asked for; a line that is none is stepped over if nothing can hide in it."""
    at = len(_BOM) if text.startswith(_BOM) else 0
    while at < len(text):
        match = _STATEMENT.match(text, at)
        if match is None:
            end = _NEWLINE.search(text, at)
            rest = text[at : end.start() if end else None]
            if any(sign in rest for sign in ("'", '"', *asked)):
                hint = "a quote is not closed, something follows a closing one, or a key is named but not assigned"
                raise _refusal(_line(text[:at]), "must be a comment or KEY=value", hint)
            at += len(rest)
        else:
            key = match["quoted"] or match["name"]
            if key in asked:
                yield key, match
            at = match.end()


def _assignment(key: str, match: re.Match[str], duplicates: int) -> Assignment:
    text, written = match.string, match["value"]
    line = _line(text[: match.start("name")])
    start = len(text[: match.end("name") if written is None else match.start("value")].encode())
    quote, value = "", written
    if written and written[0] in _ESCAPE:
        quote = written[0]
        value = _ESCAPE[quote].sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), written[1:-1])
    elif written and _ODD_BLANK.search(written):
        raise _refusal(line, "must have no blanks but spaces and tabs", "readers differ in what they make of others")
    end = start + len((written or "").encode())
    return Assignment(key, value, line, start, end, quote, quote != "'" and "${" in (written or ""), duplicates)


def _check_visible(text: str, ends: Container[int]) -> None:
    """Refuse if phpdotenv is inside a value at the end of one of these lines.

    It looks for ``="`` before it looks for comments, and counts the unescaped quotes that are not first in their line.
    """
    opener = 0
    for number, line in enumerate(_NEWLINE.split(text) if '="' in text else (), start=1):
        if '"' in line:
            quotes = len(_PHP_QUOTE.findall(line.replace(r"\\", "")))
            if '="' in line and quotes < 2:
                opener = opener or number
            elif quotes or line == '"':
                opener = 0
        if opener and number in ends:
            raise _refusal(opener, 'must close its ="', f"phpdotenv takes line {number} for a part of that value")


def _added_line(data: bytes, line: str) -> Splice:
    text = data.decode().removeprefix(_BOM)
    newline = next(iter(_NEWLINE.findall(text)[-1:]), "\n")
    insert = line + newline if text.endswith(("\r", "\n")) or not text else newline + line
    return Splice(len(data), b"", insert.encode())


def _changed_value(data: bytes, found: Assignment, value: str) -> Splice:
    written = data[found.start : found.end]
    if found.interpolated or b"\n" in written or b"\r" in written or (b"#" in written and not found.quote):
        rule = "must have a value of one line, without ${...} and with a blank before any #"
        raise _refusal(found.line, rule, "change it by hand: readers differ in what it is now")
    insert = found.quote + value + found.quote
    if found.value is None:  # a bare KEY, which a comment may follow at once
        insert = "=" + value + " " * (data[found.end : found.end + 1] == b"#")
    return Splice(found.start, written, insert.encode())
