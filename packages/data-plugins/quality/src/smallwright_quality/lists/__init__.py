"""Small default lists of the URL filter, one entry per line."""
