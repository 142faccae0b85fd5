"""Start a small model from the parts of a larger one that matter most (PanGu-pi Pro, arXiv 2402.02791)."""
