"""PanGu-pi: a decoder with more nonlinearity for few parameters."""
