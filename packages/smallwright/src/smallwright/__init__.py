"""All of smallwright in one install. The packages that this one brings do the work: ``python -m core.run --help``."""
