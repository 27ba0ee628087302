"""Decisions, one file each, named after the resource or the setting it decides.

A limit has ``limit(table)``, which gives workers as a column (inf: does not limit), and ``explain(scenario,
workers)``, which says the same in words; ``FORMULA`` and ``INPUTS`` name what it is computed from. ``memory``,
``cpu``, ``database`` and ``process_max`` are ceilings: they bound the workers from above. ``demand`` says how many
are needed and wanted.
"""
