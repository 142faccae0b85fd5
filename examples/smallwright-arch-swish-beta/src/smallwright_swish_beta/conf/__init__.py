"""Hydra configuration of the architecture."""
