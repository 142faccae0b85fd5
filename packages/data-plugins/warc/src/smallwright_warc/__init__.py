"""Web archives in, pages out: records read from WARC, WET and ARC files, or fetched by the rows of an index."""
