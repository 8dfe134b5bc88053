"""The package `concurrent`, with `futures` in it."""

from weft.compat.concurrent import futures

__all__ = ["futures"]
