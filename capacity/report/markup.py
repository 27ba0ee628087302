"""HTML and SVG as nested elements: text is escaped wherever it stands, and only an element is markup."""

from __future__ import annotations

from html import escape
from typing import Final

__all__ = ["Markup", "element"]

_VOID: Final = frozenset(("meta", "line", "rect", "polyline", "wbr"))


class Markup(str):
    """Text that is markup already, because `element` or a file of ours made it."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Write an element with its children; an attribute that is None is left out.

    Examples
    --------
    >>> element("p", "1 < 2, ", element("b", "always"), class_="note", data_label='"x"')
    '<p class="note" data-label="&quot;x&quot;">1 &lt; 2, <b>always</b></p>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}/>")
    inside = "".join(child if isinstance(child, Markup) else escape(child, quote=False) for child in children)
    return Markup(f"<{tag}{written}>{inside}</{tag}>")
