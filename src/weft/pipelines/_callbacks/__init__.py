"""Callbacks that show or write down what a pipeline does: `_progress` (bars), `_trace` (a file), `_otel` (spans)."""
