"""Studies: runs that differ in one thing, compared by a test, with one verdict."""
