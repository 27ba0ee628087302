"""What doubt about the inputs makes of the answer: which of them matter, and how wrong they may be."""

from capacity.doubt.asking import sensitivity

__all__ = ["sensitivity"]
