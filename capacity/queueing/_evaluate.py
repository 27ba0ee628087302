"""How every formula meets its arguments: float64, broadcast, in blocks, scalar in and scalar out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
FloatOrArray: TypeAlias = float | Array

# A block and the dozen temporaries a kernel makes of it stay in a core's second-level cache.
BLOCK = 16384


def evaluate(kernel: Callable[..., Array], block: int = BLOCK, **arguments: ArrayLike) -> FloatOrArray:
    """Call a kernel, which knows only flat float64 arrays of one length, with whatever the user gave.

    Parameters
    ----------
    kernel : callable
        Takes the arguments in the order given, as one-dimensional float64 arrays of equal length, and
        returns an array of that length. It never sees a scalar and need not care about warnings.
    block : int
        How many elements to hand over at once, so that temporaries stay small whatever the input's size.
    **arguments : array_like
        By their public names, which appear in the errors.

    Returns
    -------
    float or ndarray
        A Python float when every argument is a scalar, else an array of the broadcast shape.

    Raises
    ------
    TypeError
        An argument is not made of real numbers.
    ValueError
        The shapes do not broadcast.
    """
    arrays = [_real(name, value) for name, value in arguments.items()]
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(arguments, arrays, strict=True))
        message = f"shapes do not broadcast together: {shapes}"
        raise ValueError(message) from None
    result: Array = np.empty(shape)
    line, wide = result, [np.broadcast_to(array, shape) for array in arrays]
    if all(array.ndim == 0 or (array.shape == shape and array.flags.c_contiguous) for array in arrays):
        # the usual case: one long row, whatever the shape
        line = result.reshape(-1)
        wide = [np.broadcast_to(array.reshape(-1), line.shape) for array in arrays]
    with np.errstate(all="ignore"):
        for index in _blocks(line.shape, block):
            target = line[index]
            parts = [np.ascontiguousarray(array[index], dtype=np.float64).reshape(-1) for array in wide]
            target[...] = kernel(*parts).reshape(target.shape)
    return result if shape else float(result)


def _blocks(shape: tuple[int, ...], block: int) -> Iterator[tuple[slice, ...]]:
    """Cut a shape into pieces of at most so many elements, about equal, each of which is whole rows."""
    rows, *rest = shape or (1,)
    row = prod(rest)
    if row > block:
        for start in range(rows):
            for index in _blocks(tuple(rest), block):
                yield slice(start, start + 1), *index
        return
    pieces = max(1, -(-rows * row // block)) if row else 1
    each = -(-rows // pieces)
    for start in range(0, rows if row else 0, max(1, each)):
        yield (slice(start, start + each),) if shape else ()


def _real(name: str, value: ArrayLike) -> NDArray[np.generic]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        message = f"{name} must be a real number or an array of them; got {type(value).__name__} {value!r:.40}"
        raise TypeError(message)
    return array


def as_float64(name: str, value: ArrayLike) -> Array:
    """Read an argument that is not taken in blocks: as it is where it is float64 already."""
    return _real(name, value).astype(np.float64, copy=False)


def of_like_size(sizes: Array, cells: float) -> Iterator[NDArray[np.intp]]:
    """Rows a piece, the largest first: a table of the largest of a piece, for all of them, has about so many cells."""
    order = np.argsort(sizes, kind="stable")
    while order.size:
        some = max(1, int(cells // sizes[order[-1]]))
        yield order[-some:]
        order = order[:-some]


def counts(*values: Array) -> NDArray[np.bool_]:
    """Where every value is a whole number from 0 up (NaN and infinity are not)."""
    ok = np.ones(values[0].shape, dtype=bool)
    for value in values:
        ok &= np.isfinite(value) & (value >= 0) & (value == np.floor(value))
    return ok
