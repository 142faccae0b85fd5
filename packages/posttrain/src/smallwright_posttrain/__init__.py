"""Supervised fine-tuning and direct preference optimisation with TRL, as stages of smallwright."""
