"""Decoder-only language models of composable parts; a library for architecture plugins."""
