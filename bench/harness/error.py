class BenchError(Exception):
    """The reason why there is no result; it is printed without a traceback."""
