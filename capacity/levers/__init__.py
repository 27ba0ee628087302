"""What gets a pool to N users: levers, alone and together."""

from capacity.levers.comparing import compare_levers

__all__ = ["compare_levers"]
