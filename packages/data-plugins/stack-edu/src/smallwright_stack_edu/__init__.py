"""Educational source code, after Stack-Edu (SmolLM2, arXiv 2502.02737 §3.4 and App. D)."""
