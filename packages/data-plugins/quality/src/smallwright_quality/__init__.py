"""Filters of web documents by URL, language and the shape of the text."""
