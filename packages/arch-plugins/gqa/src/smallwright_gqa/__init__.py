"""Llama-style decoder with grouped-query attention (GQA), in the sizes of published models."""
