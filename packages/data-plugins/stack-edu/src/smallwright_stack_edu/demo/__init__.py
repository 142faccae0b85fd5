"""The demonstration files: source code with known truth."""
