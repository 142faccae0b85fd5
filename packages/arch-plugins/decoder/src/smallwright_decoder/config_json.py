"""A model's ``config.json``, read as Transformers reads it and without Transformers: planning asks, too.

The file is a stranger's: whatever it holds, it is checked before anything is made of it.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from core.weights import ModelFolder

MODELS: Mapping[str, str] = {
    "llama": "transformers:LlamaForCausalLM",
    "mistral": "transformers:MistralForCausalLM",
    "qwen2": "transformers:Qwen2ForCausalLM",
    "qwen3": "transformers:Qwen3ForCausalLM",
    "smallwright_decoder": "smallwright_decoder.hf:SmallwrightForCausalLM",
    "smollm3": "transformers:SmolLM3ForCausalLM",
}
"""Model types of the Llama kind, and the class that computes each."""
NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
"""Keys that every released model states."""
DEFAULTS: Mapping[str, Any] = {
    "num_key_value_heads": None,
    "head_dim": None,
    "max_position_embeddings": 2048,
    "series_activation": 1,
    "shortcut_reduction": 32,
    "max_window_layers": 28,
    "no_rope_layer_interval": 4,
    "sliding_window": None,
    "augmented_shortcuts": 0,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "partial_rotary_factor": None,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "qk_norm": False,
    "qkv_bias": False,
    "use_sliding_window": False,
    "hidden_act": "silu",
    "activation": None,
    "layer_types": None,
    "rope_layers": None,
    "no_rope_layers": None,
    "ffn_groups": None,
    "rope_scaling": None,
    "rope_parameters": None,
}
"""Transformers' value for each key that is not there; a test compares them with its classes."""
QWEN = {"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096}
DEFAULTS_OF: Mapping[str, Mapping[str, Any]] = {
    "mistral": {"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096},
    "qwen2": QWEN,
    "qwen3": {**QWEN, "head_dim": 128},
    "smollm3": {
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
        "rope_theta": 2e6,
    },
    "smallwright_decoder": {"activation": "silu"},
}
MOST = {"num_hidden_layers": 10_000, "augmented_shortcuts": 1_000}
"""Largest values of keys by which lists are made, so that no file fills the memory; other keys stay numbers."""
WHOLE = (*NEEDED, *list(DEFAULTS)[:9])
MAY_BE_ZERO = ("augmented_shortcuts", "max_window_layers")
REAL = ("rms_norm_eps", "rope_theta", "partial_rotary_factor")
NULLABLE = ("num_key_value_heads", "head_dim", "sliding_window", "partial_rotary_factor", "activation")
SCALED_FROM = ("llama3", "yarn", "longrope")
"""RoPE scalings that know the length that they scale from."""


def read_written(source: ModelFolder) -> dict[str, Any]:
    """Return the content of ``config.json``, of which every value that decides weights is checked.

    Raises:
        core.errors.InputError: when the file is missing or damaged, or the model is of another kind.
    """
    if not (source.directory / "config.json").is_file():
        raise source.refusal("config.json: not found. Give the directory of a model, or one that holds it as hf/.")
    written = source.read_json("config.json")
    kind = str(written.get("model_type")) if isinstance(written, dict) else "None"
    if not isinstance(written, dict) or kind not in MODELS:
        raise source.refusal(f"config.json: model type {kind[:40]!r} is not of the Llama kind ({', '.join(MODELS)}).")
    if missing := [key for key in NEEDED if written.get(key) is None]:
        raise source.refusal(f"config.json: has no {missing[0]}. Use the checkpoint's own.")
    values = _with_defaults(written)
    for key, must in _wrong(values).items():
        raise source.refusal(f"config.json: {key}={str(values[key])[:40]}: must be {must}. Use the checkpoint's own.")
    return written


def read_light(source: ModelFolder) -> SimpleNamespace:
    """Return the configuration with the attributes that Transformers' has, as far as weights depend on them.

    Raises:
        core.errors.InputError: as :func:`read_written` does.
    """
    return SimpleNamespace(**_filled(_with_defaults(read_written(source))))


def _with_defaults(written: Mapping[str, Any]) -> dict[str, Any]:
    kind = written["model_type"]
    defaults = {**dict.fromkeys(NEEDED), **DEFAULTS, **DEFAULTS_OF.get(kind, {})}
    return {"model_type": kind} | {key: written.get(key, default) for key, default in defaults.items()}


def _wrong(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what each wrong value must be."""
    wrong: dict[str, str] = {}
    for key, value in values.items():
        if value is None and key in NULLABLE:
            continue
        if key in WHOLE:
            least, most = int(key not in MAY_BE_ZERO), MOST.get(key, 2**31)
            if type(value) is not int or not least <= value <= most:
                wrong[key] = f"a whole number from {least} to {most}"
        elif key in REAL:
            if not _number(value, above=0):
                wrong[key] = "a finite number above 0"
        elif isinstance(DEFAULTS.get(key), bool):
            if not isinstance(value, bool):
                wrong[key] = "true or false"
        elif key in ("hidden_act", "activation"):
            if not isinstance(value, str):
                wrong[key] = "a name"
        elif key in ("rope_scaling", "rope_parameters") and (must := _wrong_rope(value)):
            wrong[key] = must
    if wrong:
        return wrong
    layers, heads = values["num_hidden_layers"], values["num_key_value_heads"] or values["num_attention_heads"]
    if values["num_attention_heads"] % heads:
        wrong["num_key_value_heads"] = f"a divisor of num_attention_heads={values['num_attention_heads']}"
    stock = values["model_type"] == "llama"  # whose class asks for this even with a head_dim
    if values["hidden_size"] % values["num_attention_heads"] and (stock or values["head_dim"] is None):
        wrong["num_attention_heads"] = f"a divisor of hidden_size={values['hidden_size']}"
    if values["augmented_shortcuts"] and values["hidden_size"] % values["shortcut_reduction"]:
        wrong["shortcut_reduction"] = f"a divisor of hidden_size={values['hidden_size']}"
    for key, types in {
        "layer_types": (str,),
        "rope_layers": (bool, int),
        "no_rope_layers": (bool, int),
        "ffn_groups": (str, type(None)),
    }.items():
        value = values[key]
        right = isinstance(value, list) and len(value) == layers and all(isinstance(v, types) for v in value)
        if (value and not right) or not isinstance(value, (list, type(None))):
            wrong[key] = f"a list with a value for each of the {layers} layers"
    return wrong


def _wrong_rope(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, dict):
        return "null or an object"
    if any(isinstance(inner, dict) for inner in value.values()):
        return "the same for all layers to be inherited"
    kinds = [value[key] for key in ("rope_type", "type") if key in value]
    numbers = [inner for inner in value.values() if isinstance(inner, (int, float)) and not isinstance(inner, bool)]
    if not all(isinstance(kind, str) for kind in kinds) or not all(map(_number, numbers)):
        return "a rope_type and finite numbers"
    return "" if _number(value.get("rope_theta", 1), above=0) else "with a rope_theta above 0"


def _number(value: Any, above: float = -1e30) -> bool:
    return type(value) in (int, float) and above < value < 1e30  # false for NaN, too


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with those that Transformers derives from others."""
    kind, layers = values["model_type"], range(values["num_hidden_layers"])
    window = values["sliding_window"]
    types = values["layer_types"] or None
    if values["num_key_value_heads"] is None:
        values["num_key_value_heads"] = values["num_attention_heads"]
    if kind in ("qwen2", "qwen3"):
        window = window if values["use_sliding_window"] else None
        slides = [window is not None and layer >= values["max_window_layers"] for layer in layers]
        types = types or ["sliding_attention" if slide else "full_attention" for slide in slides]
    elif kind == "smollm3":
        every = values["no_rope_layer_interval"]
        rope = values["no_rope_layers"] or [int((layer + 1) % every != 0) for layer in layers]
        slides = [values["use_sliding_window"] and window is not None and not has for has in rope]
        types = types or ["sliding_attention" if slide else "full_attention" for slide in slides]
        values["no_rope_layers"] = rope
    elif kind == "smallwright_decoder":
        types = types or ["full_attention" for _ in layers]
        values["rope_layers"] = values["rope_layers"] or [True for _ in layers]
    parameters = dict(values["rope_scaling"] or values["rope_parameters"] or {})
    parameters.setdefault("rope_theta", values["rope_theta"])
    if values["partial_rotary_factor"] is not None:
        parameters.setdefault("partial_rotary_factor", values["partial_rotary_factor"])
    parameters.setdefault("rope_type", parameters.get("type", "default"))
    if parameters["rope_type"] in SCALED_FROM:
        parameters.setdefault("original_max_position_embeddings", values["max_position_embeddings"])
    return {**values, "sliding_window": window, "layer_types": types, "rope_parameters": parameters}
