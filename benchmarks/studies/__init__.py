"""Studies by simulation, each a command of its own: ``python -m benchmarks.studies.NAME``."""
