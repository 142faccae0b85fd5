"""The architecture ``shared_ffn``: the composable decoder with one feed-forward for many layers."""

from smallwright_decoder.architecture import DecoderArchitecture

from smallwright_shared_ffn.config import SharedFFNConfig


class SharedFFN(DecoderArchitecture):
    """A Llama whose layers keep their own attention and norms, and share SwiGLU FFNs (arXiv 2402.16840, section 3)."""

    config: SharedFFNConfig
