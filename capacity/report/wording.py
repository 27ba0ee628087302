"""What a report says, in the reader's language: one catalogue a language, with the English text as its key.

As in gettext, a text in the code is English and looked up when it is shown. Sentences that the policies have composed
come with their values already in them: the catalogue has them with a name in braces for each value, and takes the
values out of the sentence again. A sentence of several clauses may have an entry for each clause.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["LANGUAGES", "Wording", "wording"]

LANGUAGES: Final = ("en", "es")

_NAMED = re.compile(r"{(\w+)}")
_CLAUSE = re.compile(r"; |\. (?=[A-Z])")
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?:/\d+)*(?:/s)?(?: (?:[KMGT]iB|B|us|ms|s|%)(?!\w))?"
_DECIMAL = re.compile(r"(?<=\d)\.(?=\d)")


class Wording:
    """The texts of one language.

    Parameters
    ----------
    language : str
        One of ``LANGUAGES``.
    texts : mapping
        Text in this language by English text; empty for English itself.
    words : mapping
        The same for words that stand as values in sentences.

    Examples
    --------
    >>> say = wording("es")
    >>> say("Most users"), say("{count} workers", count=40)
    ('Máximo de usuarios', '40 procesos')
    >>> say("4.00 GiB of RAM minus 1.50 GiB for everything else leaves 2.50 GiB: 40 workers of 64.0 MiB")
    '4,00 GiB de RAM menos 1,50 GiB para todo lo demás dejan 2,50 GiB: 40 procesos de 64,0 MiB'
    """

    def __init__(self, language: str, texts: Mapping[str, str], words: Mapping[str, str]) -> None:
        self.language = language
        self._texts, self._words = texts, words
        known = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        item = rf"(?:(?:{known})(?: {_NUMBER})*|{_NUMBER})(?!\w)" if known else _NUMBER
        self._word = re.compile(rf"\b(?:{known})\b") if known else None
        self._sentences = [(_pattern(text, item), text) for text in sorted(texts, key=len, reverse=True) if "{" in text]

    def __call__(self, text: str, **values: object) -> str:
        """Give a text with its values filled in; one that is not in the catalogue stays as it is."""
        if values:
            shown = {name: self._shown(str(value)) for name, value in values.items()}
            return self._texts.get(text, text).format(**shown)
        return self.found(text) or text

    def found(self, text: str) -> str | None:
        """Give a text that carries its values already; None where the catalogue does not have it."""
        if self.language == "en":
            return text
        breaks = list(_CLAUSE.finditer(text))
        starts, ends = [0, *(each.end() for each in breaks)], [*(each.start() for each in breaks), len(text)]
        written: list[str | None] = [None] * len(starts) + [""]  # from each clause on; an entry may span several
        for i in reversed(range(len(starts))):
            for j in reversed(range(i, len(ends))):
                rest, entry = written[j + 1], None if written[j + 1] is None else self._entry(text[starts[i] : ends[j]])
                if rest is not None and entry is not None:
                    written[i] = entry + (breaks[j][0] if j < len(breaks) else "") + rest
                    break
        return written[0]

    def _entry(self, text: str) -> str | None:
        """Give what one entry makes of the text."""
        plain = self._texts[text] if text in self._texts else self._words.get(text)
        if plain is not None:
            return plain
        for pattern, key in self._sentences:
            match = pattern.fullmatch(text)
            if match is not None:
                values = {name: self._shown(value) for name, value in match.groupdict().items()}
                return self._texts[key].format(**values)
        return None

    def _shown(self, value: str) -> str:
        """Write a value: words in this language, numbers with its decimal sign."""
        if self._word is None:
            return value
        return _DECIMAL.sub(",", self._word.sub(lambda word: self._words[word[0]], value))

    def figure(self, text: str) -> str:
        """Write a number, with or without a unit.

        Examples
        --------
        >>> wording("es").figure("2.50 GiB"), wording("en").figure("2.50 GiB")
        ('2,50 GiB', '2.50 GiB')
        """
        return self._shown(text)


def _pattern(text: str, item: str) -> re.Pattern[str]:
    """Find the sentences that this text becomes; a value is a number with its unit, a known word, or a list of them."""
    parts = _NAMED.split(text)
    written = [re.escape(part) if i % 2 == 0 else f"(?P<{part}>{item}(?:, {item})*)" for i, part in enumerate(parts)]
    return re.compile("".join(written))


@cache
def wording(language: str) -> Wording:
    """Texts of a language, read once."""
    if language == "en":
        return Wording(language, {}, {})
    catalogue = tomllib.loads((files(__package__) / f"{language}.toml").read_text(encoding="utf-8"))
    return Wording(language, catalogue["texts"], catalogue["words"])
