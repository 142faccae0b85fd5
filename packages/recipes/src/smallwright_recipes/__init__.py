"""Recipes of whole runs, and settings of machines: the folder ``hydra_conf`` of the repository, as a plugin."""
