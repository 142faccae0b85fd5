"""A small made-up web crawl, with all that real ones have, written as WARC files."""
