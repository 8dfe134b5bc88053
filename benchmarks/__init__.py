"""Measurements of weft beside its peers: `python -m benchmarks` prints the table, `--help` says what else it does.

`cases/` holds what is measured, one module for each area; `runner` measures it, alternating with the peer; `judge`
compares with the targets; `table` and `report` show it. `bench_*.py` are the same workloads for pytest-benchmark.
How to read the numbers: docs/performance.md.
"""
