"""The data step ``no_shouting``."""
