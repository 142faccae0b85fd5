"""Commands that work with a model: talk to it, let it answer a file, serve it, measure it."""
