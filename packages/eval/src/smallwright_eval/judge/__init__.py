"""Answers rated by another model, behind any server that speaks the protocol of OpenAI."""
