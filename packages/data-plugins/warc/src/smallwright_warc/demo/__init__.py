"""A small made-up crawl, as the web has it, written as real WARC files."""
