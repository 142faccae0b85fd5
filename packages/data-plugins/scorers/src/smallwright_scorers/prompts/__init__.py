"""Prompts of score_llm, one text file each."""
