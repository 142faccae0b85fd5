"""Hydra configuration of this plugin."""
