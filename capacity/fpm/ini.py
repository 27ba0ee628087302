"""One line of an FPM configuration file, taken apart as PHP's own scanner does.

FPM reads its files line by line and hands each line to the INI scanner on its own
(``fpm_conf_load_ini_file``), so nothing spans lines: a quote left open is an error, not a
continuation. Text is latin-1 in here, so that an index is a byte offset; names and values leave
as UTF-8 where they are UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from capacity.errors import InvalidInput, Problem

__all__ = ["Statement", "scan"]

_SPACE = re.compile(r"[ \t]*")
_LABEL = re.compile(r'[^=\n\r\t;&|^$~(){}!"\[\]\x00]+')
_WORD = re.compile(r"[^$= \t;&|^~()!\"']+")
_SECTION_WORD = re.compile(r"(?:[^$;\"'\]\\]|\\.)+")
_FALLBACK_WORD = re.compile(r"(?:[^$;\"'}\\]|\\.)+")
_VARIABLE = re.compile(r'[^=\t;&|^$~(){}!"\[\]:]+(?::(?!-)[^=\t;&|^$~(){}!"\[\]:]*)*')
_BOOLEAN = {"true": "1", "on": "1", "yes": "1", "false": "", "off": "", "no": "", "none": "", "null": ""}
_BOM = "\xef\xbb\xbf"


@dataclass(frozen=True)
class Statement:
    """One section header or directive, with the bytes of its line that hold the value.

    Parameters
    ----------
    kind : {"section", "directive"}
    name : str
        Section name, or directive name as written.
    key : str or None
        What stands in the brackets of ``env[X]`` and the like.
    value : str
        The value as FPM would store it (empty for a section).
    start, end : int
        Offsets [bytes] in the line of the value, quotes included, comment excluded (of the name for a
        section).
    variables : tuple of str
        Environment variables the value needs and nobody supplied; it then keeps ``${NAME}``.
    expression : bool
        True if the value uses INI operators (``E_ALL & ~E_NOTICE``); it is kept as written.
    remark : str
        What is accepted but surprising; mostly empty.
    begin : int
        Offset [bytes] in the line of the statement's first byte.
    """

    kind: str
    name: str
    key: str | None = None
    value: str = ""
    start: int = 0
    end: int = 0
    variables: tuple[str, ...] = ()
    expression: bool = False
    remark: str = ""
    begin: int = 0


def scan(text: str, *, where: str, environment: Mapping[str, str] | None = None) -> tuple[Statement, ...]:
    """Take one line apart.

    Parameters
    ----------
    text : str
        The line without its end, decoded as latin-1.
    where : str
        Names the line in errors, for instance ``line 7``.
    environment : mapping, optional
        Values for ``${NAME}``; without it such values stay unresolved.

    Returns
    -------
    tuple of Statement
        Mostly none or one; ``[www] pm = static`` is two.

    Raises
    ------
    InvalidInput
        Where FPM would refuse to load the line.

    Examples
    --------
    >>> scan('pm.max_children = "20" ; was 10', where="line 1")[0].value
    '20'
    """
    return tuple(_Scanner(text, where, environment).statements())


@dataclass
class _Scanner:
    text: str
    where: str
    environment: Mapping[str, str] | None
    pos: int = 0
    variables: list[str] = field(default_factory=list)
    remark: str = ""
    last: str = ""  # of an expression: the operator or operand (x) before this place
    depth: int = 0

    def statements(self) -> list[Statement]:
        found: list[Statement] = []
        if self.text.startswith(_BOM):
            self.pos = len(_BOM)
        while True:
            self._skip_space()
            if self._peek() in ("", ";"):
                return found
            self.variables, self.remark = [], ""
            begin = self.pos
            found.append(replace(self._section() if self._peek() == "[" else self._directive(), begin=begin))

    def _section(self) -> Statement:
        self.pos += 1
        start = self.pos
        name = self._bracketed("a section header")
        variables = tuple(self.variables)
        return Statement("section", _text(name), start=start, end=self.pos - 1, variables=variables)

    def _directive(self) -> Statement:
        label = _LABEL.match(self.text, self.pos)
        if label is None:
            self._refuse(
                f"must not have {self._peek()!r} here",
                "FPM refuses such a line; ; starts a comment",
            )
        name = label.group().strip(" \t")
        self.pos = label.end()
        if name.startswith("#"):
            self._refuse("must not start with #", "FPM reads it as a name; ; starts a comment")
        if name.lower() in _BOOLEAN:
            self._refuse(f"must not use the reserved word {name!r} as a name", "")
        key = None
        if self._peek() == "[":
            self.pos += 1
            self._skip_space()
            key = _text(self._bracketed("a key"))
        self._skip_space()
        if self._peek() != "=":
            self._refuse("must read `name = value`", "FPM refuses a name without =")
        self.pos += 1
        self._skip_space()
        start = self.pos
        value, expression = self._value()
        end = start + len(self.text[start : self.pos].rstrip(" \t"))
        if expression:
            value = self.text[start:end]
        return Statement(
            "directive",
            _text(name),
            key,
            _text(value),
            start,
            end,
            tuple(self.variables),
            expression,
            self.remark,
        )

    def _value(self) -> tuple[str, bool]:
        """Read up to the end of the line or a comment; blanks next to double quotes vanish, as in FPM."""
        parts: list[str] = []
        words: list[str] = []
        expression = False
        self.last, self.depth = "", 0
        while True:
            space = _SPACE.match(self.text, self.pos)
            blank = space.group() if space else ""
            after = self.pos + len(blank)
            nxt = self.text[after : after + 1]
            if nxt in ("", ";"):
                break
            if nxt == '"':
                self.pos = after
                parts.append(self._double_quoted())
                self._skip_space()
                words.append("")
                self._operator("x")
                continue
            if blank:
                parts.append(blank)
                self.pos = after
            if nxt == "'" and parts and self.text.find("'", after + 1) < 0:
                self.remark = "a single quote is never closed: FPM drops it and the rest of the line"
                self.pos = len(self.text)
            elif nxt in "&|^~()!":
                expression = True
                self._operator(nxt)
                self.pos += 1
            elif nxt == "=":
                self._refuse("must not have = in an unquoted value", "put the value in double quotes")
            else:
                piece, word = self._piece(_WORD)
                parts.append(piece)
                words.append(word)
                self._operator("x")
        if expression:
            self._operator("")
        reserved = [word for word in words if word.lower() in _BOOLEAN]
        if reserved and not expression:
            if len(words) > 1:
                self._refuse(
                    f"must not use the reserved word {reserved[0]!r} inside an unquoted value",
                    "put the value in double quotes",
                )
            return _BOOLEAN[reserved[0].lower()], False
        return "".join(parts), expression

    def _operator(self, new: str) -> None:
        """Take an operator, an operand ``x`` or the end ("") if PHP's grammar has it here."""
        operand = self.last in ("x", ")")
        fits = {"x": self.last != ")", ")": operand and self.depth > 0, "": operand and self.depth == 0}
        if not fits.get(new, operand == (new in "&|^")):
            rule = f"must not have {new or 'its end'!r} here in an unquoted value"
            self._refuse(rule, "put the value in double quotes")
        self.depth += (new == "(") - (new == ")")
        self.last = new

    def _piece(self, run: re.Pattern[str]) -> tuple[str, str]:
        """Read a single-quoted string, a variable or a run of plain text; the word is "" unless plain."""
        if self._peek() == "'":
            return self._single_quoted(), ""
        if self.text.startswith("${", self.pos):
            return self._variable(), ""
        start = self.pos
        while True:
            match = run.match(self.text, self.pos)
            if match is not None:
                self.pos = match.end()
            elif self._peek() == "$" and not self.text.startswith("${", self.pos):
                # The scanner takes a lone $ together with whatever follows it, even a ; or a quote.
                taken = 3 if self.text.startswith("$\\", self.pos) else 2
                self.pos = min(self.pos + taken, len(self.text))
            else:
                break
        if self.pos == start:
            self._refuse(f"must not have {self._peek()!r} here", "put the value in double quotes")
        plain = self.text[start : self.pos]
        return plain, plain

    def _bracketed(self, what: str) -> str:
        parts: list[str] = []
        while self._peek() != "]":
            if self._peek() in ("", ";"):
                self._refuse(f"must close {what} with ]", "")
            if self._peek() == '"':
                parts.append(self._double_quoted())
            else:
                parts.append(self._piece(_SECTION_WORD)[0])
        self.pos += 1
        return "".join(parts)

    def _single_quoted(self) -> str:
        end = self.text.find("'", self.pos + 1)
        if end < 0:
            self._refuse("must close the single quote", "FPM reads line by line")
        if end == self.pos + 1:
            self._refuse("must not hold an empty pair of single quotes", 'write ""')
        inner = self.text[self.pos + 1 : end]
        self.pos = end + 1
        return inner

    def _double_quoted(self) -> str:
        self.pos += 1
        parts: list[str] = []
        while True:
            char = self._peek()
            if char == "":
                self._refuse("must close the double quote", "FPM reads line by line")
            if char == '"':
                self.pos += 1
                return "".join(parts)
            if self.text.startswith("${", self.pos):
                parts.append(self._variable())
            elif char == "\\" and self.pos + 1 < len(self.text):
                escaped = self.text[self.pos + 1]
                if escaped == '"' and self.pos + 2 >= len(self.text):
                    # "C:\path\" at the end of a line: PHP lets Windows users have it.
                    parts.append("\\")
                    self.pos += 1
                    continue
                parts.append(escaped if escaped in '"\\$' else char + escaped)
                self.pos += 2
            else:
                parts.append(char)
                self.pos += 1

    def _variable(self) -> str:
        start = self.pos
        self.pos += 2
        match = _VARIABLE.match(self.text, self.pos)
        if match is None:
            self._refuse("must name a variable in ${}", "")
        name = match.group().strip(" \t")
        self.pos = match.end()
        fallback = ""
        if self.text.startswith(":-", self.pos):
            self.pos += 2
            fallback = self._fallback()
            self.remark = "${NAME:-default} needs PHP 8.3: an older PHP takes the default for part of the name"
        if self._peek() != "}":
            self._refuse("must close ${ with }", "")
        self.pos += 1
        if self.environment is None:
            self.variables.append(_text(name))
            return self.text[start : self.pos]
        given = self.environment.get(_text(name))
        return fallback if given is None else given.encode("utf-8", "surrogateescape").decode("latin-1")

    def _fallback(self) -> str:
        parts: list[str] = []
        while self._peek() not in ("}", ""):
            parts.append(self._double_quoted() if self._peek() == '"' else self._piece(_FALLBACK_WORD)[0])
        return "".join(parts)

    def _peek(self) -> str:
        return self.text[self.pos : self.pos + 1]

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.pos)
        if match is not None:
            self.pos = match.end()

    def _refuse(self, rule: str, hint: str) -> NoReturn:
        # What is set with a key (env, php_value) may be a secret, and a message ends up in a log.
        name, _, _ = self.text.partition("=")
        text = f"{name}= ..." if "[" in name.lstrip()[1:] else self.text
        shown = text if len(text) <= 80 else text[:77] + "..."
        raise InvalidInput([Problem(self.where, rule, repr(_text(shown)), hint)])


def _text(latin1: str) -> str:
    """Give the text as UTF-8 where its bytes are UTF-8, else as latin-1."""
    raw = latin1.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return latin1
