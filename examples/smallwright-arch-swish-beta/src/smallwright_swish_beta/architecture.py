"""The architecture ``swish_beta``."""

from smallwright_decoder.architecture import DecoderArchitecture

from smallwright_swish_beta.config import SwishBetaConfig


class SwishBeta(DecoderArchitecture):
    """A pre-norm decoder with RoPE, QK-norm and gated feed-forwards, and Swish with another beta than SiLU's 1."""

    config: SwishBetaConfig
