"""Byte-level BPE tokenizer and token files."""
