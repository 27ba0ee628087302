"""Grids as dask arrays: the same boxes as chunks, computed where and when dask is asked for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from capacity.grid.axes import Axis, is_lazy, lengths
from capacity.grid.cells import Cells
from capacity.grid.tally import Tally, exact_quantiles, merged, quantiles_of, tally_of

if TYPE_CHECKING:
    from capacity.table import Column

__all__ = ["lazy_cells", "lazy_quantiles"]


def lazy_cells(cells: Cells, grid: Sequence[Axis], most: int) -> Mapping[str, Any]:
    """Every cell, a dask array a quantity, in chunks of at most `most` cells.

    Chunks of an axis that is a dask array already are kept where they are not too large.
    """
    each = lengths([_longest(axis) for axis in grid], most)
    made = _blockwise(cells, grid, each)
    return {name: made[name] for name in cells.quantities}


def lazy_quantiles(
    cells: Cells, grid: Sequence[Axis], along: Sequence[int], shares: Column, most: int
) -> Mapping[str, Any]:
    """Quantiles over some axes, a dask array a quantity."""
    kept = [place for place in range(len(grid)) if place not in along]
    each = math.prod(grid[place].size for place in along)
    if each <= most:
        chunks = {place: grid[place].size for place in along}
        chunks |= dict(zip(kept, lengths([_longest(grid[place]) for place in kept], most // each), strict=True))
        made = _exact(cells, grid, along, shares, [chunks[place] for place in range(len(grid))])
        return {name: made[name] for name in cells.quantities}
    chunks = dict.fromkeys(kept, 1)
    chunks |= dict(zip(along, lengths([_longest(grid[place]) for place in along], most), strict=True))
    made = _blockwise(cells, grid, [chunks[place] for place in range(len(grid))])
    return {name: _counted(made[name], along, shares) for name in cells.quantities}


def _longest(axis: Axis) -> int:
    """Longest chunk of an axis, which is all of it where it is no dask array."""
    return min(max(column.chunks[0]) if is_lazy(column) else axis.size for column in axis.columns.values())


def _arguments(grid: Sequence[Axis], each: Sequence[int]) -> Iterator[Any]:
    """Dask arrays along the axes and the axis each lies along, as `blockwise` takes them; one axis has one chunking."""
    from dask.array import from_array

    for place, (axis, length) in enumerate(zip(grid, each, strict=True)):
        chunks: Any = length
        for number, column in enumerate(axis.columns.values()):
            if not is_lazy(column):
                array = from_array(column, chunks=chunks)
            else:
                array = column.rechunk(chunks) if number or max(column.chunks[0]) > length else column
            chunks = array.chunks
            yield array
            yield (place,)


def _blockwise(cells: Cells, grid: Sequence[Axis], each: Sequence[int]) -> Any:
    from dask.array import blockwise

    places = tuple(range(len(grid)))
    empty = np.empty((0,) * len(grid), dtype=cells.dtype)
    # aligned already; dask would warn of many chunks
    return blockwise(cells, places, *_arguments(grid, each), dtype=cells.dtype, meta=empty, align_arrays=False)


def _exact(cells: Cells, grid: Sequence[Axis], along: Sequence[int], shares: Column, each: Sequence[int]) -> Any:
    """Quantiles over axes that are one chunk."""
    from dask.array import blockwise

    places = (len(grid), *(place for place in range(len(grid)) if place not in along))
    empty = np.empty((0,) * len(places), dtype=cells.dtype)
    return blockwise(
        partial(_quantiles_of_box, cells, tuple(along), shares),
        places,
        *_arguments(grid, each),
        new_axes={len(grid): shares.size},
        concatenate=True,
        dtype=cells.dtype,
        meta=empty,
        align_arrays=False,
    )


def _quantiles_of_box(cells: Cells, along: Sequence[int], shares: Column, *values: Column) -> NDArray[Any]:
    part = cells(*values)
    kept = [size for place, size in enumerate(part.shape) if place not in along]
    made = np.empty((shares.size, *kept), dtype=cells.dtype)
    for name in cells.quantities:
        flat = np.moveaxis(part[name], along, range(-len(along), 0)).reshape((*kept, -1))
        made[name] = exact_quantiles(flat, shares)
    return made


def _counted(cells: Any, along: Sequence[int], shares: Column) -> Any:
    """Quantiles over axes of many chunks, each of which is counted where it is computed."""
    from dask.array import blockwise, map_blocks, reduction

    places = tuple(range(cells.ndim))
    none = np.empty((0,) * cells.ndim, dtype=object)
    one_each = dict.fromkeys(places, 1)
    counts = blockwise(_count, places, cells, places, adjust_chunks=one_each, dtype=object, meta=none)
    whole = reduction(counts, chunk=_add, combine=_add, aggregate=_add, axis=tuple(along), keepdims=True, dtype=object)
    kept = [length for place, length in enumerate(whole.chunks) if place not in along]
    return map_blocks(
        partial(_read, shares=shares, kept=len(kept)),
        whole,
        drop_axis=list(along),
        new_axis=0,
        chunks=((shares.size,), *kept),
        dtype=np.float64,
        meta=np.empty((0,) * (1 + len(kept))),
    )


def _count(cells: Column) -> NDArray[Any]:
    return _alone(tally_of(cells), cells.ndim)


def _add(tallies: NDArray[Any], axis: object, keepdims: object) -> NDArray[Any]:
    return _alone(merged(tallies.ravel()), tallies.ndim)


def _read(tallies: NDArray[Any], *, shares: Column, kept: int) -> Column:
    (tally,) = tallies.ravel()
    return quantiles_of(tally, shares).reshape(-1, *[1] * kept)


def _alone(tally: Tally, dimensions: int) -> NDArray[Any]:
    """An array of one tally, which dask can put beside others."""
    made = np.empty((1,) * dimensions, dtype=object)
    made[...] = tally
    return made
