"""Make the oracles importable as `oracles.<module>` whatever pytest was started from."""

import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.append(TESTS)
