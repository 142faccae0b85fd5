"""Hydra groups of the pretraining plugin."""
