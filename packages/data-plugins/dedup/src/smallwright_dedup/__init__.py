"""Removal of duplicates and of benchmark items."""
