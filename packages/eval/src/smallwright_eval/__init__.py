"""Evaluation: lm-eval tasks and held-out perplexity on the vLLM engine."""
