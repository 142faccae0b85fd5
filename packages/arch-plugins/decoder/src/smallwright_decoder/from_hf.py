"""The settings of a decoder that is exactly a model which exists, from its ``config.json``. Light: planning asks here.

Transformers' classes of these families and the decoder compute the same; ``hf_choice`` goes the other way.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from core.weights import ModelFolder

from smallwright_decoder.config import ACTIVATIONS, MODULE_FUNCTION
from smallwright_decoder.config_json import MODELS, read_light, read_written
from smallwright_decoder.rope_scaling import SETTINGS, Scaling

SAME = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "series_activation", "augmented_shortcuts",
)  # fmt: skip
"""Keys that mean the same in both."""
OF_EXPERTS = (
    "num_experts", "num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size", "norm_topk_prob",
    "mlp_only_layers", "router_aux_loss_coef",
)  # fmt: skip


def settings_of(source: ModelFolder) -> dict[str, Any] | None:
    """Return the settings of :class:`smallwright_decoder.config.DecoderConfig` that make exactly this model.

    Returns:
        None where ``config.json`` names a model type that is not of the Llama kind.

    Raises:
        core.errors.InputError: the model is of the kind and has a part that the decoder lacks, or the file is damaged.
    """
    if source.config()["model_type"] not in MODELS:
        return None
    written, read = read_written(source), read_light(source)
    head_dim = read.head_dim or read.hidden_size // read.num_attention_heads
    settings = {key: getattr(read, key) for key in SAME}
    settings |= {
        "head_dim": head_dim,
        "rope_theta": float(read.rope_parameters["rope_theta"]),
        "activation": _activation(source, read),
        "qk_norm": read.model_type == "qwen3" or bool(read.qk_norm),
        "qkv_bias": read.model_type == "qwen2" or bool(read.qkv_bias),
        **_scaling(source, read),
        **_windows(source, read),
        "nope_interval": _interval(
            source, "no_rope_layers", read.rope_layers or read.no_rope_layers, read.num_hidden_layers
        ),
        "ffn_groups": _groups(read.ffn_groups),
    }
    if read.augmented_shortcuts:
        settings["shortcut_reduction"] = read.shortcut_reduction
    for key in ("attention_bias", "mlp_bias"):
        if getattr(read, key):
            raise _lacks(source, f"{key}=true", "biases of the output and feed-forward projections")
    if read.model_type == "smallwright_decoder" and written.get("num_experts"):
        settings |= {key: written[key] for key in OF_EXPERTS if written.get(key) is not None}
    if isinstance(written.get("initializer_range"), float):
        settings["initializer_range"] = written["initializer_range"]
    return settings


def _lacks(source: ModelFolder, what: str, part: str) -> Exception:
    return source.refusal(
        f"config.json: {what}: the decoder has no {part}, so it cannot be trained on here. It can be evaluated and "
        "post-trained as it is."
    )


def _activation(source: ModelFolder, read: SimpleNamespace) -> str:
    name = str(read.activation or read.hidden_act)
    own = read.model_type == "smallwright_decoder" and MODULE_FUNCTION.fullmatch(name)
    if name not in ACTIVATIONS and not own:
        raise _lacks(source, f"hidden_act={name}", f"activation of that name (it has {', '.join(ACTIVATIONS)})")
    return name


def _scaling(source: ModelFolder, read: SimpleNamespace) -> dict[str, Any]:
    scaling = Scaling.of(read.rope_parameters)
    if scaling.advice() is None:
        raise _lacks(source, f"rope_scaling={scaling}", "RoPE of that kind")
    if scaling.kind == "none":
        return {}
    numbers = {SETTINGS[key]: value for key, value in scaling.numbers if key in SETTINGS}
    settings: dict[str, Any] = {"rope_scaling": scaling.kind, **numbers}
    if "rope_factor" not in settings:
        raise _lacks(source, f"rope_scaling={scaling}", "scaling without a factor")
    if scaling.kind == "dynamic":  # Transformers says the length before scaling where the decoder says that after it
        settings["rope_original_max_position"] = read.max_position_embeddings
        settings["max_position_embeddings"] = int(read.max_position_embeddings * settings["rope_factor"])
    if "rope_original_max_position" in settings:
        settings["rope_original_max_position"] = int(settings["rope_original_max_position"])
    return settings


def _windows(source: ModelFolder, read: SimpleNamespace) -> dict[str, Any]:
    if read.sliding_window is None:
        return {}
    slides = [
        kind == "sliding_attention" for kind in read.layer_types or ["sliding_attention"] * read.num_hidden_layers
    ]
    if not any(slides):
        return {}
    interval = _interval(source, "layer_types", slides, read.num_hidden_layers)
    return {"sliding_window": read.sliding_window, "global_interval": interval}


def _interval(source: ModelFolder, key: str, regular: Sequence[Any] | None, layers: int) -> int | None:
    """Return n where every n-th layer, and no other, is an exception; None where none is."""
    exceptions = [layer for layer in range(layers) if regular and not regular[layer]]
    if not exceptions:
        return None
    every = exceptions[0] + 1
    if exceptions != list(range(every - 1, layers, every)):
        raise _lacks(source, f"{key}: the exceptions are layers {exceptions[:8]}", "pattern but every n-th layer")
    return every


def _groups(groups: Sequence[str | None] | None) -> dict[str, str] | None:
    named: dict[str, list[str]] = {}
    for layer, group in enumerate(groups or ()):
        if group is not None:
            named.setdefault(group, []).append(str(layer))
    whole = len(groups or ())
    return {group: "all" if len(layers) == whole else ",".join(layers) for group, layers in named.items()} or None
