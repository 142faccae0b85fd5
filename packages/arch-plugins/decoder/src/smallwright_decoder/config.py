"""Dimensions and parts of a decoder; keys are Hugging Face's where Hugging Face has them.

Light: planning reads these and counts parameters without torch.
"""

import dataclasses
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Mapping
from typing import Literal

from core.errors import ConfigError
from core.typed import setting

DEEPEST = 10_000
WIDEST = 2**24
LONGEST = 2**31 - 1
"""Most layers, units and positions or ids: beyond every model, and little enough to be counted at once."""
ACTIVATIONS = ("silu", "gelu", "relu2")
MODULE_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
GROUP = re.compile(r"[a-z][a-z0-9_]*")
# A group is an attribute of a torch.nn.ModuleDict, which has these already.
TAKEN = re.compile(
    "apply|bfloat16|buffers|children|clear|compile|cpu|cuda|double|eval|float|forward|half|ipu|items|keys|modules|mtia|"
    "parameters|pop|to|train|training|type|update|values|xpu"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """A pre-norm decoder with RoPE and gated feed-forward networks, and the parts that can be added to it.

    A plugin subclasses this, sets its defaults and lists its named sizes in ``SIZES``.
    """

    size: str | None = setting(None, identity=False)
    """Named set of the values below; the name itself does not change the model."""
    hidden_size: int = setting(ge=1, le=WIDEST)
    """Width of the residual stream."""
    intermediate_size: int = setting(ge=1, le=WIDEST)
    """Width of the gated feed-forward."""
    num_hidden_layers: int = setting(ge=1, le=DEEPEST)
    num_attention_heads: int = setting(ge=1, le=WIDEST)
    """Query heads."""
    num_key_value_heads: int = setting(ge=1, le=WIDEST)
    """Key/value heads; equal to the query heads for multi-head attention."""
    head_dim: int | None = setting(None, ge=1, le=WIDEST)
    """Width of one head; None: hidden_size / num_attention_heads."""
    vocab_size: int | None = setting(None, ge=1, le=LONGEST)
    """Rows of the embedding; None: the tokenizer's."""
    max_position_embeddings: int = setting(2048, ge=1, le=LONGEST)
    """Longest sequence in tokens that the model claims to serve."""
    rope_theta: float = setting(10000.0, gt=0)
    """Base of the rotary position embedding."""
    rope_scaling: Literal["none", "yarn", "dynamic", "llama3"] = "none"
    """How positions beyond ``rope_original_max_position`` are reached (YaRN: arXiv 2309.00071)."""
    rope_factor: float = setting(1.0, ge=1)
    """How many times the original length; 1 where ``rope_scaling`` is none."""
    rope_original_max_position: int | None = setting(None, ge=1, le=LONGEST)
    """Length in tokens before scaling; None: max_position_embeddings / rope_factor."""
    rms_norm_eps: float = setting(1e-5, gt=0)
    tie_word_embeddings: bool = True
    """Use the embedding as output head."""
    initializer_range: float = setting(0.02, gt=0)
    """Standard deviation of the initial weights."""
    init_scheme: Literal["depth_scaled", "constant"] = "depth_scaled"
    """``depth_scaled``: projections back into the residual stream start smaller by sqrt(2 * layers), as nanotron
    does for SmolLM2; ``constant``: the same deviation everywhere."""
    qk_norm: bool = False
    """RMSNorm over each head of queries and keys, before RoPE (Qwen3)."""
    qkv_bias: bool = False
    """Biases of the query, key and value projections (Qwen2)."""
    sliding_window: int | None = setting(None, ge=1, le=LONGEST)
    """Tokens that a token of a local layer sees, itself included; None: all layers are global."""
    global_interval: int | None = setting(None, ge=1)
    """With ``sliding_window``: every n-th layer is global (6 is Gemma 3's 5 to 1); None: all layers are local."""
    nope_interval: int | None = setting(None, ge=1)
    """Every n-th layer has no position embedding (SmolLM3: 4); None: all have RoPE."""
    ffn_groups: Mapping[str, str | int] | None = None
    """Layers that share one feed-forward: a name for each group and its layers, as ``{middle: 2-19, ends: "0,21"}`` or
    ``{all: all}``. Layers in no group have their own. None: no layer shares."""
    activation: str = "silu"
    """Activation of the feed-forward's gate: silu, gelu, relu2, or ``module:function`` of an importable module."""
    series_activation: int = setting(1, ge=1, le=1000)
    """Terms n of the series-informed activation sum_i act(a_i x + b_i), with learned a and b (PanGu-pi, arXiv
    2312.17276, section 4.2); 1: the plain activation, nothing learned."""
    augmented_shortcuts: int = setting(0, ge=0, le=1000)
    """Learned paths T_i beside attention, in bottleneck form (PanGu-pi, arXiv 2312.17276, section 4.1)."""
    shortcut_reduction: int = setting(32, ge=1)
    """A shortcut's bottleneck is hidden_size / this wide."""
    shortcut_zero_init: bool = True
    """Shortcuts add nothing at first: the logits are those of the model without them."""
    num_experts: int | None = setting(None, ge=1, le=WIDEST)
    """Experts of a layer: feed-forwards, of which each token uses some (Shazeer et al., arXiv 1701.06538, section 2);
    None: one dense feed-forward."""
    num_experts_per_tok: int = setting(2, ge=1)
    """Experts that a token uses: the router's highest scores (Mixtral, arXiv 2401.04088, section 2.1)."""
    moe_intermediate_size: int | None = setting(None, ge=1, le=WIDEST)
    """Width of an expert; None: intermediate_size."""
    shared_expert_intermediate_size: int | None = setting(None, ge=1, le=WIDEST)
    """Width of an expert that every token uses beside its own, through a learned sigmoid (Qwen1.5-MoE, after
    DeepSeekMoE, arXiv 2401.06066, section 3.2); None: no shared expert."""
    norm_topk_prob: bool = True
    """Divide the weights of a token's experts by their sum (Mixtral, Qwen3); false: as they come from the softmax over
    all experts (Qwen1.5-MoE)."""
    mlp_only_layers: tuple[int, ...] = setting((), ge=0)
    """Layers, counted from 0, whose feed-forward is dense all the same."""
    router_aux_loss_coef: float = setting(0.01, ge=0)
    """Factor of the loss that balances the experts within each training sequence (DeepSeek-V2, arXiv 2405.04434,
    section 2.2.3), 0.01 as Switch Transformers' (arXiv 2101.03961, section 2.2); 0: none."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads and self.head_dim is None:
            fitting = [
                heads
                for heads in range(1, self.hidden_size // 2 + 1)
                if self.hidden_size % (2 * heads) == 0 and heads % self.num_key_value_heads == 0
            ]
            near = f"one of {_nearest(fitting, self.num_attention_heads)}, " if fitting else ""
            raise ConfigError(
                f"num_attention_heads={self.num_attention_heads}: must divide hidden_size={self.hidden_size} where "
                f"head_dim is not set. Use {near}a hidden_size such as "
                f"{_multiple(self.hidden_size, 2 * self.num_attention_heads)}, or set head_dim."
            )
        if self.num_attention_heads % self.num_key_value_heads:
            divisors = [n for n in range(1, self.num_attention_heads + 1) if self.num_attention_heads % n == 0]
            raise ConfigError(
                f"num_key_value_heads={self.num_key_value_heads}: must divide "
                f"num_attention_heads={self.num_attention_heads}. Use one of "
                f"{_nearest(divisors, self.num_key_value_heads)}."
            )
        if self.resolved_head_dim % 2:
            raise ConfigError(
                f"head_dim={self.resolved_head_dim}: must be even, RoPE rotates pairs. "
                f"Use head_dim={self.resolved_head_dim + 1} or other heads."
            )
        if self.global_interval is not None and self.sliding_window is None:
            raise ConfigError(f"global_interval={self.global_interval}: without sliding_window all layers are global.")
        self._check_rope()
        if self.augmented_shortcuts and self.hidden_size % self.shortcut_reduction:
            raise ConfigError(
                f"shortcut_reduction={self.shortcut_reduction}: must divide hidden_size={self.hidden_size}."
            )
        if self.activation not in ACTIVATIONS and not MODULE_FUNCTION.fullmatch(self.activation):
            known = ", ".join(ACTIVATIONS)
            raise ConfigError(f"activation={self.activation}: must be one of {known}, or module:function.")
        self.layer_groups  # noqa: B018 - refuses bad groups
        self._check_experts()

    def _check_experts(self) -> None:
        if self.num_experts is None:
            for key in ("moe_intermediate_size", "shared_expert_intermediate_size", "mlp_only_layers"):
                if getattr(self, key):
                    raise ConfigError(f"{key}={getattr(self, key)}: without num_experts there are no experts. Set it.")
            return
        experts = f"num_experts={self.num_experts}"
        if self.num_experts_per_tok > self.num_experts:
            raise ConfigError(
                f"num_experts_per_tok={self.num_experts_per_tok}: a token cannot use more than all {experts}. "
                f"Use {self.num_experts} or less."
            )
        if any(self.layer_groups):
            raise ConfigError(f"{experts} with ffn_groups: layers share dense feed-forwards only. Set one of the two.")
        if self.activation != "silu" or self.series_activation > 1:
            raise ConfigError(
                f"{experts} with activation={self.activation}, series_activation={self.series_activation}: experts "
                "have the plain silu only. Set activation=silu and series_activation=1, or no experts."
            )
        for key in ("hidden_size", "expert_size"):
            # The rows of a grouped matrix product in bfloat16 begin at multiples of 16 bytes.
            if getattr(self, key) % 8:
                name = "moe_intermediate_size" if key == "expert_size" else key
                width = getattr(self, key)
                raise ConfigError(f"{name}={width}: of experts, must be a multiple of 8. Use {_multiple(width, 8)}.")
        dense = self.mlp_only_layers
        if list(dense) != sorted(set(dense)) or any(not 0 <= layer < self.num_hidden_layers for layer in dense):
            raise ConfigError(
                f"mlp_only_layers={list(dense)}: give rising layer numbers from 0 to {self.num_hidden_layers - 1}, "
                "each once."
            )
        if len(dense) == self.num_hidden_layers:
            raise ConfigError(f"mlp_only_layers={list(dense)}: no layer is left for {experts}. Leave some out.")

    def _check_rope(self) -> None:
        scaled = self.rope_scaling != "none"
        if scaled != (self.rope_factor > 1):
            raise ConfigError(
                f"rope_scaling={self.rope_scaling} with rope_factor={self.rope_factor:g}: a factor above 1 needs a "
                "scaling, and a scaling a factor above 1. Set both."
            )
        original = self.rope_original_max_position
        if original is not None and not scaled:
            raise ConfigError(f"rope_original_max_position={original}: without rope_scaling there is nothing to scale.")
        if not 1 <= self.original_max_position <= self.max_position_embeddings:
            raise ConfigError(
                f"rope_original_max_position={self.original_max_position}: must be from 1 to "
                f"max_position_embeddings={self.max_position_embeddings}. Set one of the two."
            )

    @property
    def resolved_head_dim(self) -> int:
        """Width of one head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def resolved_vocab_size(self) -> int:
        """Rows of the embedding.

        Raises:
            ConfigError: while neither the configuration nor a tokenizer has given it.
        """
        if self.vocab_size is None:
            raise ConfigError("arch.vocab_size: not known. Choose a tokenizer, or set arch.vocab_size=<rows>.")
        return self.vocab_size

    @property
    def original_max_position(self) -> int:
        """Length in tokens that ``rope_scaling`` scales from."""
        return self.rope_original_max_position or int(self.max_position_embeddings / self.rope_factor)

    @property
    def residual_std(self) -> float:
        """Initial deviation of projections into the residual stream (attention output, FFN down)."""
        scale = (2 * self.num_hidden_layers) ** 0.5 if self.init_scheme == "depth_scaled" else 1.0
        return self.initializer_range / scale

    @property
    def layer_types(self) -> list[str]:
        """For each layer ``full_attention`` or ``sliding_attention``, Hugging Face's words."""
        every = self.global_interval
        return [
            "full_attention"
            if self.sliding_window is None or (every is not None and (layer + 1) % every == 0)
            else "sliding_attention"
            for layer in range(self.num_hidden_layers)
        ]

    @property
    def rope_layers(self) -> list[bool]:
        """For each layer whether it has RoPE."""
        every = self.nope_interval
        return [every is None or (layer + 1) % every != 0 for layer in range(self.num_hidden_layers)]

    @property
    def layer_groups(self) -> list[str | None]:
        """For each layer the name of the group whose feed-forward it uses; None: its own.

        Raises:
            ConfigError: a group names layers that do not exist, or that another group has, or is badly named.
        """
        groups: list[str | None] = [None] * self.num_hidden_layers
        for name, layers in (self.ffn_groups or {}).items():
            if not GROUP.fullmatch(name):
                raise ConfigError(f"ffn_groups.{name}: a name is made of small letters, digits and underscores.")
            if TAKEN.fullmatch(name):
                raise ConfigError(f"ffn_groups.{name}: PyTorch has another use for this name. Use {name}_layers.")
            for layer in _layers(name, str(layers), self.num_hidden_layers):
                if groups[layer] is not None:
                    raise ConfigError(f"ffn_groups.{name}={layers}: layer {layer} is in group {groups[layer]} already.")
                groups[layer] = name
        return groups

    @property
    def stored_feed_forwards(self) -> int:
        """Dense feed-forward networks that are stored: one a group, one for each layer in no group and without
        experts."""
        groups = self.layer_groups
        return len(set(groups) - {None}) + groups.count(None) - sum(self.moe_layers)

    @property
    def moe_layers(self) -> list[bool]:
        """For each layer whether its feed-forward is a mixture of experts."""
        dense = set(range(self.num_hidden_layers)) if self.num_experts is None else set(self.mlp_only_layers)
        return [layer not in dense for layer in range(self.num_hidden_layers)]

    @property
    def expert_size(self) -> int:
        """Width of an expert."""
        return self.moe_intermediate_size or self.intermediate_size


def check_activation(name: str) -> None:
    """Refuse a function of a module that is not installed; nothing is imported for this, no parent package either.

    Raises:
        ConfigError: there is no such module, or it is loaded and has no such function.
    """
    module, _, function = name.partition(":")
    if name in ACTIVATIONS:
        return
    if module in sys.modules and not callable(getattr(sys.modules[module], function, None)):
        raise ConfigError(f"arch.activation={name}: {module} has no function {function}.")
    package, *below = module.split(".")
    if package in sys.stdlib_module_names:
        raise ConfigError(f"arch.activation={name}: Python's own functions take no tensors. Name one of torch's kind.")
    if module in sys.modules:
        return
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # __main__, which no other process could import
        spec = None
    for depth in range(1, len(below) + 1):
        folders = spec.submodule_search_locations if spec is not None else None
        name_of_part = ".".join([package, *below[:depth]])
        spec = None if folders is None else importlib.machinery.PathFinder.find_spec(name_of_part, folders)
    if spec is None:
        raise ConfigError(
            f"arch.activation={name}: no module {module}. Install the package that has it, or give its file with "
            "--plugin."
        )


def _layers(name: str, text: str, of: int) -> list[int]:
    """Return the layers that ``0-3,7`` or ``all`` names."""
    found: list[int] = []
    for part in (f"0-{of - 1}" if text == "all" else text).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < of:
            raise ConfigError(
                f"ffn_groups.{name}={text}: give layers from 0 to {of - 1} as 'all', '2-{of - 1}' or '0,{of - 1}'."
            )
        found += range(first, last + 1)
    return found


def _nearest(numbers: list[int], to: int) -> list[int]:
    """Return the eight that are nearest, in order: enough to choose from."""
    return sorted(sorted(numbers, key=lambda number: abs(number - to))[:8])


def _multiple(value: int, of: int) -> int:
    return -(-value // of) * of
