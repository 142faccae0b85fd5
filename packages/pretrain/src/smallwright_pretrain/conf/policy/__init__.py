"""Options of the group ``policy``."""
