"""An access log of 10 MB, read and summed up. The one of 1 GB, and its memory: ``python -m benchmarks.access_log``."""

from __future__ import annotations

import pytest

from benchmarks.access_log import FORMATS, line_format, write_log
from capacity.measure.logs import LogReading


@pytest.mark.parametrize("kind", FORMATS)
def test_reading(benchmark, tmp_path, kind):
    benchmark.group = "10 MB of access log"
    path = tmp_path / "access.log"
    benchmark.extra_info["lines"] = write_log(path, 10, kind)

    def read() -> None:
        reading = LogReading([str(path)], line_format=line_format(kind))
        reading.read()
        reading.result()

    benchmark.pedantic(read, rounds=2, warmup_rounds=1)
