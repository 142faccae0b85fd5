"""Hydra options of this plugin."""
