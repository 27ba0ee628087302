"""Read ``php-fpm.conf`` and ``pool.d/*.conf`` as FPM reads them.

The file is kept as line records that hold their raw bytes (``b"".join(line.raw for line in
file.lines)`` is the input), and every directive knows where its value stands in its line.

What FPM does and this reader does too (all of it compared with ``php-fpm8.2 -tt``): several pools a file;
a pool opened again goes on where it was, pool names compared without case; the last of two equal
directives wins, but of two equal ``php_value[x]``, ``php_admin_value[x]`` or ``env[X]`` the FIRST one
takes effect; an included file starts inside the section that included it and leaves its own last
section open. PHP constants (``E_ALL``) and INI operators are not evaluated: such text stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from capacity.errors import InvalidInput, Problem
from capacity.fpm.directives import ARRAY_DIRECTIVES, GLOBAL_DIRECTIVES, POOL_DIRECTIVES
from capacity.fpm.ini import Statement, scan
from capacity.fpm.settings import pool_settings

__all__ = ["Include", "Line", "Place", "PoolFile", "pool_settings", "read_pools"]

# The largest hand-kept files in the wild are some 25 KB of stock comments; a megabyte is not a pool file.
_MAX_BYTES = 1 << 20
# FPM itself: "failed to include more than 5 files recursively" (fpm_conf.c).
_MAX_DEPTH = 5
_TEMPLATE = re.compile(r"</?tmpl_|<%[=-]|^\s*(?:<%|\{%)|\{\{|@[A-Z][A-Z0-9_]*@")
_XML = re.compile(rb"\s*<(?:\?xml|configuration\b)")


@dataclass(frozen=True)
class Line:
    """One line of the file: its raw bytes, line end included, and what it says.

    Parameters
    ----------
    number : int
        Line number, from 1.
    raw : bytes
    statements : tuple of Statement
        Empty for a blank line or a comment.
    """

    number: int
    raw: bytes
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Include:
    """An ``include =`` line, the section it stands in and the files it brought in (None: nobody resolved it)."""

    pattern: str
    line: int
    files: tuple[str, ...] | None
    section: str = "global"


@dataclass(frozen=True)
class Place:
    """Where a statement stands: the file that holds it ("" for the one being read) and its line, from 1."""

    path: str
    line: int
    statement: Statement


@dataclass(frozen=True)
class PoolFile:
    """What a configuration file says, before FPM's defaults and checks.

    Parameters
    ----------
    global_settings : mapping of str to str
        Directives of ``[global]`` and those before any section, names in lower case.
    pools : mapping of str to mapping of str to str
        Pool name to its directives, names in lower case, ``$pool`` replaced; in file order.
    includes : tuple of Include
    environment_variables : tuple of str
        Variables some value depends on and that were not supplied; such values keep ``${NAME}``.
    notes : tuple of str
        What is odd but accepted, each with its line.
    lines : tuple of Line
        The records of this file (not of the included ones).
    places : mapping of (str, str) to tuple of Place
        Section (``global`` or the pool's name) and directive to every place that sets it, in the order
        FPM reads them; the last one is in effect. Under the name "" stand the section's headers.
    """

    global_settings: Mapping[str, str]
    pools: Mapping[str, Mapping[str, str]]
    includes: tuple[Include, ...] = ()
    environment_variables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[Line, ...] = field(default=(), repr=False)
    places: Mapping[tuple[str, str], tuple[Place, ...]] = field(default_factory=dict, repr=False)

    @property
    def overridden(self) -> tuple[tuple[str, str, str], ...]:
        """Section, directive and text of what a later line overrides: not in effect, but read by FPM all the same."""
        sections = {"global": self.global_settings, **self.pools}
        return tuple(
            (section, name, place.statement.value)
            for (section, name), places in self.places.items()
            if name and len(places) > 1
            for place in places
            if place.statement.value != sections[section][name]
        )


def read_pools(
    data: bytes,
    *,
    environment: Mapping[str, str] | None = None,
    include: Callable[[str], Mapping[str, bytes] | None] | None = None,
) -> PoolFile:
    r"""Read the pools of one FPM configuration file.

    Parameters
    ----------
    data : bytes
        The content of the file.
    environment : mapping, optional
        FPM's environment, for ``${NAME}`` and (from PHP 8.3) ``${NAME:-default}``. Without it those
        values are unknown and stay as written.
    include : callable, optional
        Given the pattern of an ``include =`` line, returns path to content of the files it
        matches, in glob order, or None if it cannot say. Nothing is opened here.

    Returns
    -------
    PoolFile

    Raises
    ------
    InvalidInput
        A line FPM would refuse, a template that was not filled in, the XML format of PHP 5.2, binary
        data, or more than 1 MiB; the message names the line.

    Examples
    --------
    >>> file = read_pools(b"[www]\npm = dynamic\npm.max_children = 10\nPM.max_children = '20' ; more\n")
    >>> dict(file.pools["www"])
    {'pm': 'dynamic', 'pm.max_children': '20'}
    """
    reader = _Reader(environment, include)
    lines = reader.read(data, "", 1)
    return PoolFile(
        MappingProxyType(reader.global_settings),
        MappingProxyType({name: MappingProxyType(values) for name, values in reader.pools.items()}),
        tuple(reader.includes),
        tuple(dict.fromkeys(reader.variables)),
        (*reader.notes, *reader.stray_note()),
        lines,
        MappingProxyType({key: tuple(places) for key, places in reader.places.items()}),
    )


def folded(name: str) -> bytes:
    """A pool's name as FPM compares it: ``strcasecmp``, so [WWW] opens www again but [É] is not [é]."""
    return name.encode("utf-8", "backslashreplace").lower()


@dataclass
class _Reader:
    """FPM's parser state: which section is open, and what has been set so far."""

    environment: Mapping[str, str] | None
    include: Callable[[str], Mapping[str, bytes] | None] | None
    global_settings: dict[str, str] = field(default_factory=dict)
    pools: dict[str, dict[str, str]] = field(default_factory=dict)
    includes: list[Include] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    strays: list[tuple[str, str]] = field(default_factory=list)
    places: dict[tuple[str, str], list[Place]] = field(default_factory=dict)
    pool: str | None = None
    left: int = 8 * _MAX_BYTES  # for the file and all it includes, so that includes cannot multiply

    def read(self, data: bytes, path: str, depth: int) -> tuple[Line, ...]:
        self.left -= len(data)
        _refuse_other_formats(data, path, self.left)
        return tuple(
            self._line(number, raw, path, depth) for number, raw in enumerate(data.splitlines(keepends=True), start=1)
        )

    def _line(self, number: int, raw: bytes, path: str, depth: int) -> Line:
        where = f"line {number} of {path}" if path else f"line {number}"
        text = raw.rstrip(b"\r\n").decode("latin-1")
        try:
            statements = scan(text, where=where, environment=self.environment)
        except InvalidInput:
            # Half-filled templates break on whatever character comes first; say what the matter is.
            if _TEMPLATE.search(text):
                raise _template(where, raw) from None
            raise
        if statements and _TEMPLATE.search(text[: statements[-1].end]):
            raise _template(where, raw)
        for statement in statements:
            self.variables.extend(statement.variables)
            if statement.remark:
                self.notes.append(f"{where}: {statement.remark}")
            name = ""
            if statement.kind == "section":
                self._open(statement.name)
            elif statement.name == "include" and statement.key is None:
                self._include(statement.value, number, where, depth)
                continue
            else:
                name = self._set(statement, where)
            section = self.pool or "global"
            self.places.setdefault((section, name), []).append(Place(path, number, statement))
        return Line(number, raw, statements)

    def _open(self, name: str) -> None:
        if folded(name) == b"global":
            self.pool = None
            return
        self.pool = next((known for known in self.pools if folded(known) == folded(name)), name)
        self.pools.setdefault(self.pool, {})

    def _set(self, statement: Statement, where: str) -> str:
        target = self.global_settings if self.pool is None else self.pools[self.pool]
        value = statement.value
        if "$pool" in value:
            if self.pool is None:
                rule = "must not use $pool outside a pool"
                raise InvalidInput([Problem(where, rule, repr(value), "put it below a [pool] header")])
            value = value.replace("$pool", self.pool)
        if statement.key is not None:
            if not statement.key and statement.name != "access.suppress_path":
                raise InvalidInput([Problem(where, f"must have a key in {statement.name}[]", "", "")])
            known = frozenset[str]() if self.pool is None else ARRAY_DIRECTIVES
            self._check_known(f"{statement.name}[]", known, where)
            name = f"{statement.name}[{statement.key}]"
            target.setdefault(name, value)
            return name
        name = statement.name.lower()
        self._check_known(name, GLOBAL_DIRECTIVES if self.pool is None else POOL_DIRECTIVES, where)
        target[name] = value
        return name

    def _check_known(self, name: str, known: frozenset[str], where: str) -> None:
        if name in known:
            return
        if self.pool is None and (name in POOL_DIRECTIVES or name in ARRAY_DIRECTIVES):
            self.strays.append((where, name))
        else:
            section = "[global]" if self.pool is None else f"[{self.pool}]"
            self.notes.append(f"{where}: {name} is not a directive of {section} in PHP 8.2, which refuses it")

    def stray_note(self) -> list[str]:
        """Say once that a file with pool directives but no section is only good for being included."""
        if not self.strays:
            return []
        where, name = self.strays[0]
        more = f" and {len(self.strays) - 1} more pool directives stand" if self.strays[1:] else " stands"
        return [
            f"{where}: {name}{more} before any [pool] header: FPM takes that only in a file that is included below one"
        ]

    def _include(self, pattern: str, number: int, where: str, depth: int) -> None:
        found = None if self.include is None or "${" in pattern else self.include(pattern)
        files = None if found is None else tuple(found)
        self.includes.append(Include(pattern, number, files, self.pool or "global"))
        if found and depth >= _MAX_DEPTH:
            rule = f"must not include files more than {_MAX_DEPTH} deep"
            raise InvalidInput([Problem(where, rule, repr(pattern), "does a file include itself?")])
        for path, data in (found or {}).items():
            self.read(data, path, depth + 1)


def _refuse_other_formats(data: bytes, path: str, left: int) -> None:
    name = path or "the pool file"
    if len(data) > _MAX_BYTES or left < 0:
        raise InvalidInput([Problem(name, "must be at most 1 MiB", f"{len(data)} bytes", "")])
    if _XML.match(data):
        raise InvalidInput(
            [Problem(name, "must be in INI format", "XML on line 1", "PHP 5.2 wrote XML; FPM is INI since 5.3")]
        )
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise InvalidInput([Problem(name, "must be text", f"a NUL byte on line {line}", "is it the right file?")])


def _template(where: str, raw: bytes) -> InvalidInput:
    shown = raw.strip().decode("latin-1")
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return InvalidInput(
        [Problem(where, "must not be a template", repr(shown), "read the file the template was filled in to")]
    )
