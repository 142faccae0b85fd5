"""The recipes FineWeb and FineWeb-Edu: English text out of a web crawl."""
