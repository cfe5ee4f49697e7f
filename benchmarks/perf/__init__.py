"""Measurements of speed as ratios, each a command of its own: ``python -m benchmarks.perf.NAME``."""
