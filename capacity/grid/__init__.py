"""What-if grids: any predicted quantity over named axes of a scenario (``sweep``).

``axes`` reads what moves, ``quantities`` says what can be asked for, ``cells`` computes a box of the grid,
``tally`` keeps quantiles of more values than fit into memory, ``sweeping`` runs the boxes here or hands them to dask.
"""

from __future__ import annotations

from capacity.grid.sweeping import sweep

__all__ = ["sweep"]
