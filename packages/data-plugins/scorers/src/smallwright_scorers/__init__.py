"""Quality labels by rules or by an LLM, and a classifier distilled from them."""
