"""Change bytes in places that are known exactly, and leave every other byte alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from capacity.errors import InvalidInput, Problem
from capacity.units import shown

__all__ = ["Splice", "spliced"]


@dataclass(frozen=True)
class Splice:
    """One change to a content.

    Parameters
    ----------
    offset : int
        Where, in bytes of the ORIGINAL content, from 0.
    remove : bytes
        What stands there now; empty to insert only.
    insert : bytes
        What stands there instead.
    """

    offset: int
    remove: bytes
    insert: bytes

    @property
    def end(self) -> int:
        """Offset of the first byte behind what is removed."""
        return self.offset + len(self.remove)


def spliced(data: bytes, splices: Iterable[Splice]) -> bytes:
    r"""Apply changes whose offsets are all those of the original content.

    Parameters
    ----------
    data : bytes
    splices : iterable of Splice
        Those at one offset are inserted in the order given.

    Returns
    -------
    bytes

    Raises
    ------
    InvalidInput
        If what a splice removes does not stand where it says, or two of them overlap.

    Examples
    --------
    >>> spliced(b"a = 20\n", [Splice(4, b"20", b"40"), Splice(7, b"", b"b = 1\n")])
    b'a = 40\nb = 1\n'
    """
    pieces, at = [], 0
    for splice in sorted(splices, key=lambda splice: splice.offset):  # stable: equal offsets keep their order
        if splice.offset < at:
            raise InvalidInput([Problem("splice", "must not overlap another", f"at byte {splice.offset}")])
        if splice.offset > len(data) or data[splice.offset : splice.end] != splice.remove:
            removed = shown(splice.remove.decode("utf-8", "backslashreplace"))
            raise InvalidInput([Problem("splice", f"must find {removed} at byte {splice.offset}", "something else")])
        pieces += [data[at : splice.offset], splice.insert]
        at = splice.end
    return b"".join([*pieces, data[at:]])
