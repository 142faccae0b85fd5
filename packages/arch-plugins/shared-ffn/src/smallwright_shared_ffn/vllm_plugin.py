"""vLLM's entry point (group ``vllm.general_plugins``): runs in each of vLLM's processes before a model is chosen."""


def register() -> None:
    """Make the model known to vLLM; its class is imported when a model of this type is loaded."""
    from vllm import ModelRegistry

    import smallwright_shared_ffn.hf  # noqa: F401 - so that transformers reads the model's config.json

    ModelRegistry.register_model("SharedFFNForCausalLM", "smallwright_shared_ffn.serve:SharedFFNForCausalLM")
