"""Speed as ratios against rivals, each a command of its own: ``python -m benchmarks.perf.NAME``.

A rival is run by its own script, committed and tuned, and alternated with ours in one run.
"""
