"""How results look in a notebook: tables, frames and pictures. Nothing here decides or predicts anything.

Results reach this room through ``presented``; it is imported when somebody looks. What a result has that is new:

- a table is found by itself (any field that is a tuple of models), and written in people's units by each field's unit;
- a picture is a function from the result and ``ax`` to the Axes, with a line in ``pictures.PICTURES``.
"""

from capacity.show.maps import heat_map

__all__ = ["heat_map"]
