"""Improves a page, or leaves it exactly as it is."""
