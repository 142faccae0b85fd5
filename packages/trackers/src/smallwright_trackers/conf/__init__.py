"""Hydra groups of this plugin."""
