"""Change directives in a pool file and nothing else: bytes in, bytes out.

One line changes for one directive: its value, while indentation, blanks round ``=``, quotes, a comment and
the line end stay. What FPM would not see changed is refused: a directive that is in effect from an included
file, a pool that is not in this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from capacity.errors import InvalidInput, Problem
from capacity.fpm.directives import GLOBAL_DIRECTIVES, MANAGERS, SIZING, Note, convert
from capacity.fpm.ini import Statement
from capacity.fpm.pool_file import Place, PoolFile, folded, read_pools
from capacity.splices import Splice, spliced

__all__ = ["EDITABLE", "EDITABLE_GLOBAL", "FORMS", "directive_splices", "set_directives"]

EDITABLE: Mapping[str, str] = {directive.name: directive.kind for directive in SIZING}
"""The directives of a pool that may be set, and how FPM converts each; a closed list."""
EDITABLE_GLOBAL: Mapping[str, str] = {"process.max": "integer", "process_control_timeout": "time"}
"""The same for ``[global]``."""

# Whole texts, with nothing in them that could end a value, a line or a shell word.
FORMS = {
    "pm": (re.compile("|".join(MANAGERS), re.IGNORECASE | re.ASCII), "must be static, dynamic or ondemand"),
    "integer": (re.compile("-?[0-9]{1,10}"), "must be a whole number"),
    "time": (re.compile("[0-9]{1,10}[smhd]?"), "must be whole seconds, or a whole number and one of s, m, h, d"),
}
_MANDATORY = ("pm", "pm.max_children")
_Include = Callable[[str], Mapping[str, bytes] | None]


def set_directives(
    data: bytes,
    pool: str,
    values: Mapping[str, str | int | None],
    *,
    include: _Include | None = None,
    replace_variables: bool = False,
) -> bytes:
    r"""Set directives of one pool, or of ``[global]``.

    Parameters
    ----------
    data : bytes
        The content of the file.
    pool : str
        A pool of this file, compared without case as FPM does; ``global`` for ``[global]``.
    values : mapping of str to str, int or None
        Directive (any case; ``EDITABLE``, ``EDITABLE_GLOBAL``) to its new value. Seconds given as an int are
        written as ``60s``. None turns the directive off: every line that sets it becomes a comment.
    include : callable, optional
        As in ``read_pools``: content of the included files, so that what they set is known.
    replace_variables : bool, optional
        Whether a value that holds ``${NAME}`` may be replaced: from then on the file no longer follows
        FPM's environment.

    Returns
    -------
    bytes
        The new content. The last line that sets a directive is changed, because FPM takes the last; where
        none does, a line is added below the pool's last directive, like it in indentation, blanks and line
        end. A directive that has the value already is left as it is, byte for byte.

    Raises
    ------
    InvalidInput
        All that is refused: a file FPM would not load, an unknown pool, a directive outside the closed list,
        a value that is not of its form, a directive that is in effect from an included file, or that an
        include nobody resolved may set, or a ``${NAME}`` that would be lost.

    Notes
    -----
    The result is what was asked for, not what FPM accepts: ``capacity.fpm.rules.check`` says that.

    Examples
    --------
    >>> set_directives(b"[www]\npm = static\n  PM.max_children= '20' ; RAM\r\n", "www", {"pm.max_children": 40})
    b"[www]\npm = static\n  PM.max_children= '40' ; RAM\r\n"
    """
    splices = directive_splices(data, pool, values, include=include, replace_variables=replace_variables)
    return spliced(data, (splice for _, splice in splices))


def directive_splices(
    data: bytes,
    pool: str,
    values: Mapping[str, str | int | None],
    *,
    include: _Include | None = None,
    replace_variables: bool = False,
) -> tuple[tuple[str, Splice], ...]:
    r"""Say which bytes `set_directives` would change.

    Parameters
    ----------
    data, pool, values, include, replace_variables
        As for `set_directives`.

    Returns
    -------
    tuple of (str, Splice)
        Directive in lower case and its change, in the order of `values`; none for a directive that has its value
        already, one for every line where it is turned off.

    Raises
    ------
    InvalidInput
        As `set_directives`.

    Examples
    --------
    >>> directive_splices(b"[www]\npm = static\npm.max_children = 20\n", "www", {"pm.max_children": 40})
    (('pm.max_children', Splice(offset=36, remove=b'20', insert=b'40')),)
    """
    file = read_pools(data, include=include)
    section = _section(file, pool)
    texts = _texts(section, values)
    edits = _Edits(file, section, replace_variables)
    for name, text in texts.items():
        edits.set(name, text)
    if edits.problems:
        raise InvalidInput(edits.problems)
    return tuple(edits.splices)


def _section(file: PoolFile, pool: str) -> str:
    """Name of the section as the file has it, if it has a line in this very file."""
    names = ["global", *file.pools]
    found = next((name for name in names if folded(name) == folded(pool)), None)
    places = [place for (section, _), all_places in file.places.items() if section == found for place in all_places]
    if found is None or not places:
        known = ", ".join(file.pools) or "nothing but what stands before any [pool] header"
        raise InvalidInput([Problem("pool", "must be in the file", repr(pool[:80]), f"there is {known}"[:200])])
    if all(place.path for place in places):
        raise InvalidInput([Problem("pool", "must be in the file itself", repr(pool), f"it is in {places[0].path}")])
    return found


def _texts(section: str, values: Mapping[str, str | int | None]) -> dict[str, tuple[str, ...] | None]:
    """Every value in the texts that say it, the one to write first; None to turn the directive off."""
    kinds = EDITABLE_GLOBAL if section == "global" else EDITABLE
    texts: dict[str, tuple[str, ...] | None] = {}
    problems: list[Problem] = []
    for given, value in values.items():
        name = given.lower()
        if name not in kinds:
            hint = f"of [{section}] these may be: {', '.join(kinds)}"
            problems.append(Problem("directive", "must be one that may be set", repr(given[:80]), hint))
        elif name in texts:
            problems.append(Problem(name, "must be given once", "two spellings of it", ""))
        elif value is None:
            if name in _MANDATORY:
                problems.append(Problem(name, "must have a value", "None", "FPM has no default"))
            texts[name] = None
        else:
            text = str(value)
            form, rule = FORMS[kinds[name]]
            notes: list[Note] = []
            if isinstance(value, bool) or not isinstance(value, str | int) or form.fullmatch(text) is None:
                problems.append(Problem(name, rule, repr(text[:80]), ""))
                continue
            convert(kinds[name], name, text.lower(), notes)
            if notes:
                problems.append(Problem(name, "must fit 32 bits", repr(text), ""))
            else:
                seconds = kinds[name] == "time" and isinstance(value, int)
                texts[name] = (f"{text}s", text) if seconds else (text,)
    if problems:
        raise InvalidInput(problems)
    return texts


@dataclass
class _Edits:
    """What is to be done to the bytes of one file."""

    file: PoolFile
    section: str
    replace_variables: bool
    splices: list[tuple[str, Splice]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def set(self, name: str, texts: tuple[str, ...] | None) -> None:
        places = self.file.places.get((self.section, name), ())
        problem = self._problem(name, texts, places)
        if problem is not None:
            self.problems.append(problem)
        elif texts is None:
            self.splices += [(name, self._at(p.line, p.statement.begin, b"", b";")) for p in places]
        elif not places:
            self.splices.append((name, self._added(name, texts[0])))
        elif places[-1].statement.value not in texts:
            raw, statement = self.file.lines[places[-1].line - 1].raw, places[-1].statement
            old, new = raw[statement.start : statement.end], _like(raw, statement, texts[0])
            self.splices.append((name, self._at(places[-1].line, statement.start, old, new)))

    def _at(self, line: int, column: int, old: bytes, new: bytes) -> Splice:
        return Splice(sum(len(before.raw) for before in self.file.lines[: line - 1]) + column, old, new)

    def _problem(self, name: str, texts: tuple[str, ...] | None, places: tuple[Place, ...]) -> Problem | None:
        what = f"{name} of [{self.section}]"
        foreign = [place for place in (places if texts is None else places[-1:]) if place.path]
        if foreign:
            where = f"line {foreign[-1].line} of {foreign[-1].path}"
            return Problem(what, "must be set in this file", where, "an include is in effect: edit that file")
        after = places[-1].line if places and texts is not None else 0
        for line in self.file.includes:
            # The files of [global] begin with a [pool] header of their own; those of a pool go on in it.
            if line.files is None and line.section == self.section != "global" and line.line > after:
                hint = "the included files may set it too: pass include="
                return Problem(what, "must not depend on an include nobody resolved", repr(line.pattern), hint)
        held = [place for place in places[-1:] if "${" in place.statement.value]
        if held and not self.replace_variables and texts is not None:
            hint = "set it in FPM's environment, or let replace_variables give it up"
            return Problem(what, "must not come from FPM's environment", repr(held[0].statement.value), hint)
        return None

    def _added(self, name: str, text: str) -> Splice:
        """Add a line below the pool's last directive; several such lines follow each other in the order of adding."""
        anchor, sample = self._anchor()
        raw = self.file.lines[anchor - 1].raw
        fresh = _matched(rb"[ \t]*", raw) + name.encode() + _equals(raw, sample) + text.encode()
        closing = _line_end(raw)
        if closing:
            return self._at(anchor, len(raw), b"", fresh + closing)
        # the file's last line, which goes on having no line end
        closing = next(filter(None, (_line_end(line.raw) for line in self.file.lines)), b"\n")
        return self._at(anchor, len(raw), b"", closing + fresh)

    def _anchor(self) -> tuple[int, Statement]:
        """Find the line of the pool's last directive, or of its header where it has none."""
        # Strays before any header are kept as global ones, but they belong to the file that includes this one.
        here = [
            (name, place)
            for (section, name), places in self.file.places.items()
            if section == self.section and (section != "global" or name in GLOBAL_DIRECTIVES or not name)
            for place in places
            if not place.path and place.statement == self.file.lines[place.line - 1].statements[-1]
        ]
        directives = [p for n, p in here if n]
        if not here:
            rule = "must have a header or a directive that ends its line"
            raise InvalidInput([Problem(f"[{self.section}]", rule, "", "put the header on a line of its own")])
        last = max(directives or [p for _, p in here], key=lambda place: place.line)
        return last.line, last.statement


def _like(raw: bytes, statement: Statement, text: str) -> bytes:
    """Write the value as the old one was: its quotes, and a blank where `` =`` had nothing after it."""
    old = raw[statement.start : statement.end]
    quote = old[:1]
    if quote in (b'"', b"'") and len(old) > 1 and old.endswith(quote) and old.count(quote) == 2:
        return quote + text.encode() + quote
    lonely = not old and raw[: statement.start].endswith((b" =", b"\t="))
    return (b" " if lonely else b"") + text.encode()


def _equals(raw: bytes, sample: Statement) -> bytes:
    """The ``=`` of a directive with the blanks round it; `` = `` where there is none to go by."""
    if sample.kind == "section" or sample.start == sample.end:
        return b" = "
    return _matched(rb"[ \t]*=[ \t]*$", raw[: sample.start], re.search)


def _matched(pattern: bytes, raw: bytes, how: Callable[..., re.Match[bytes] | None] = re.match) -> bytes:
    found = how(pattern, raw)
    return found.group() if found else b""


def _line_end(raw: bytes) -> bytes:
    return raw[len(raw.rstrip(b"\r\n")) :]
