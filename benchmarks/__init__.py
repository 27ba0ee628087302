"""What things cost: alone, beside the textbook form, beside other packages. Ratios within one run are the claim.

``python -m pytest benchmarks``
    All of them, by pytest-benchmark (the extra ``bench``).
``python -m benchmarks.peers``
    Beside the packages of ``peers.txt`` that are installed, into docs/reference/benchmarks.md.
``python -m benchmarks.ratios``
    The ratios that ``tests/test_speed_ratios.py`` holds us to.
``python -m benchmarks.accuracy``
    The largest errors against 50-digit arithmetic, at points drawn anew.
``python -m benchmarks.sweep``
    A sweep of 1e8 cells reduced to quantiles: the time and the memory that takes.
``python -m benchmarks.access_log``
    A log of 1 GB: lines a second, and the memory that takes.
``python -m benchmarks.light_load``
    How well the service time is found on busy cores; needs php-fpm8.2 and root.
``python -m benchmarks.fidelity``
    Predictions held against a real php-fpm behind nginx, into docs/reference/fidelity.md; needs root.
"""
