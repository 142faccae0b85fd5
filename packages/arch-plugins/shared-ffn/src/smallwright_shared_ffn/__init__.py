"""MobiLlama (arXiv 2402.16840): a decoder whose layers share one feed-forward network (FFN)."""
