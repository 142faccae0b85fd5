"""Web archives in, text documents out: reading WARC, extracting text, and a demonstration crawl."""
