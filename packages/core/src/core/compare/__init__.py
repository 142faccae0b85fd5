"""Sides laid beside each other: runs, runs of a sweep, models. ``python -m core.compare`` is the command."""
