"""Asking the store: PromQL for metrics."""
