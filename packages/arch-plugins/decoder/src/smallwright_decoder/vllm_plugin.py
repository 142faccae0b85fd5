"""vLLM's entry point (group ``vllm.general_plugins``): runs in each of vLLM's processes before a model is chosen."""


def register() -> None:
    """Make the model known to vLLM; its class is imported when a model of this type is loaded."""
    from vllm import ModelRegistry

    from smallwright_decoder.hf import add_plugin_folders  # transformers then reads the model's config.json too

    add_plugin_folders()  # an activation may be a function of a local plugin
    ModelRegistry.register_model("SmallwrightForCausalLM", "smallwright_decoder.serve:SmallwrightForCausalLM")
