"""Agreements between operators, from the draft to the archive."""
