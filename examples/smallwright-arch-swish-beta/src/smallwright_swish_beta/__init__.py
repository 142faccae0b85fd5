"""The architecture ``swish_beta``."""
