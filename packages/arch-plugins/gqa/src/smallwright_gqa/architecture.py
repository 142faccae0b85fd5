"""The architecture ``gqa``: the composable decoder in the sizes of published models."""

from smallwright_decoder.architecture import DecoderArchitecture

from smallwright_gqa.config import GQAConfig


class GQA(DecoderArchitecture):
    """Llama: RMSNorm before attention and SwiGLU, RoPE, grouped-query attention, no biases; parts can be added."""

    config: GQAConfig
