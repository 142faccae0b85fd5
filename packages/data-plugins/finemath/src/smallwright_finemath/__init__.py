"""The FineMath recipe."""
