"""Pages of runs and corpora, made from plain data with templates and charts."""
