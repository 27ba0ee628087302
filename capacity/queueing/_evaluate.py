"""How every formula meets its arguments: float64, broadcast, in blocks, scalar in and scalar out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
FloatOrArray: TypeAlias = float | Array

# A block and the dozen temporaries a kernel makes of it stay in a core's second-level cache.
BLOCK = 8192


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
    arrays = [_as_float64(name, value) for name, value in arguments.items()]
    try:
        arrays = list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(arguments, arrays, strict=True))
        message = f"shapes do not broadcast together: {shapes}"
        raise ValueError(message) from None
    shape = arrays[0].shape
    flat = [np.ravel(array) for array in arrays]
    with np.errstate(all="ignore"):
        if flat[0].size <= block:
            result = kernel(*flat)
        else:
            result = np.empty(flat[0].size)
            for start in range(0, result.size, block):
                part = slice(start, start + block)
                result[part] = kernel(*(array[part] for array in flat))
    return result.reshape(shape) if shape else float(result[0])


def _as_float64(name: str, value: ArrayLike, *, copy: bool = True) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        message = f"{name} must be a real number or an array of them; got {type(value).__name__} {value!r:.40}"
        raise TypeError(message)
    return array.astype(np.float64, copy=copy)


def counts(*values: Array) -> NDArray[np.bool_]:
    """Where every value is a whole number from 0 up (NaN and infinity are not)."""
    ok = np.ones(values[0].shape, dtype=bool)
    for value in values:
        ok &= np.isfinite(value) & (value >= 0) & (value == np.floor(value))
    return ok
