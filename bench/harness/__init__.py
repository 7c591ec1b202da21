"""The modules of `bench/run`. Except for chart.py they need only Python's standard library."""
