"""Prompts of score_llm, one text file each: front matter (scale, variants), then the text with ``{document}``."""
