"""Predictions held against a real php-fpm behind a real nginx: ``python -m benchmarks.fidelity``.

``site``
    nginx and php-fpm in a temporary directory.
``load``
    The load generator, a process of its own.
``cases``
    What is asked of which pool, all of it drawn from seeds.
``calibration``
    What a request costs beside its script on this machine, measured once before the runs.
``predict``
    The public functions of `capacity`, asked with the inputs of a case and with what a run turned out to be.
``measure``
    What a run showed, and whether the machine was disturbed.
``table``
    The lines on the screen and the page in the documentation.
"""
