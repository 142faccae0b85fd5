"""The architecture ``pangu_pi``: the composable decoder with PanGu-pi's parts and sizes."""

from smallwright_decoder.architecture import DecoderArchitecture

from smallwright_pangu_pi.config import PanguPiConfig


class PanguPi(DecoderArchitecture):
    """A Llama with learned paths beside attention and a series of activations in the gate (arXiv 2312.17276 §4)."""

    config: PanguPiConfig
