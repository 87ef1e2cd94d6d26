"""Measurements: not part of what is installed."""
