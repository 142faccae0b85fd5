"""Mixtures of experts: counts, routing, the loss that balances them, and the names of their weights.

Letters of tensor names: docs/architectures.md.
"""

import pytest
import torch
import transformers
from core.errors import ConfigError, InputError
from core.typed import build
from safetensors.torch import load_file
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_decoder.hf_choice import hf_model_class
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_decoder.experts import balance_loss  # noqa: E402
from smallwright_pretrain.attention import DocumentAttention, document_mask  # noqa: E402
from smallwright_pretrain.weights import unsharded  # noqa: E402
from torch.nn import functional as F  # noqa: E402

TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "num_experts": 4,
}
SHARED = {"shared_expert_intermediate_size": 24, "moe_intermediate_size": 16, "norm_topk_prob": False}
PUBLISHED = {
    # huggingface.co/Qwen/Qwen1.5-MoE-A2.7B, config.json: "14.3B parameters in total and 2.7B activated".
    "Qwen2MoeForCausalLM": (
        {
            "hidden_size": 2048,
            "intermediate_size": 5632,
            "moe_intermediate_size": 1408,
            "shared_expert_intermediate_size": 5632,
            "num_experts": 60,
            "num_experts_per_tok": 4,
            "norm_topk_prob": False,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "vocab_size": 151936,
            "tie_word_embeddings": False,
            "qkv_bias": True,
        },
        14_315_784_192,
        2.7e9,
    ),
    # huggingface.co/Qwen/Qwen3-30B-A3B, config.json: "30.5B in total and 3.3B activated" (arXiv 2505.09388, Table 2).
    "Qwen3MoeForCausalLM": (
        {
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "num_hidden_layers": 48,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "vocab_size": 151936,
            "tie_word_embeddings": False,
            "qk_norm": True,
        },
        30_532_122_624,
        3.3e9,
    ),
    # huggingface.co/mistralai/Mixtral-8x7B-v0.1, config.json: "47B parameters, 13B active" (arXiv 2401.04088).
    "MixtralForCausalLM": (
        {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_experts": 8,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 32000,
            "tie_word_embeddings": False,
        },
        46_702_792_704,
        12.9e9,
    ),
}
IDS_BL = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(1))


def architecture(**values) -> DecoderArchitecture:
    return DecoderArchitecture(build(DecoderConfig, {**TINY, **values}, "arch"))


def titan(sequences_per_step: int | None = None, **values):
    config = architecture(**values).titan_config(inner_attention=DocumentAttention.Config(), seq_len=32)
    for layer in config.layers:
        if layer.moe is not None:
            layer.moe.router.sequences_per_step = sequences_per_step
    return unsharded(config)


def loss_of(model, ids_BL):
    positions_BL = torch.arange(ids_BL.shape[1]).expand_as(ids_BL)
    logits_BLV = model(ids_BL, positions=positions_BL, attention_masks=document_mask(positions_BL, torch.float32))
    return F.cross_entropy(logits_BLV[:, :-1].flatten(0, 1), ids_BL[:, 1:].flatten())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_their_counts(name):
    values, stored, active = PUBLISHED[name]
    found = architecture(**values)
    # Transformers' defaults are these models' config.json, but for Qwen3's depth and heads.
    other = {"num_hidden_layers": 48, "head_dim": 128} if name.startswith("Qwen3") else {}
    with torch.device("meta"):
        published = getattr(transformers, name)(getattr(transformers, name).config_class(**other))
        hf = found.hf_model_class()(found.hf_config())
        whole = found.titan_config(inner_attention=DocumentAttention.Config(), seq_len=64).build()
    assert found.parameters() == stored
    assert [published.num_parameters(), hf.num_parameters()] == [stored, stored]
    assert {n: p.shape for n, p in hf.named_parameters()} == {n: p.shape for n, p in published.named_parameters()}
    assert sum(parameter.numel() for parameter in whole.parameters()) == stored
    # What cards call activated counts the input embedding too.
    embedding = values["vocab_size"] * values["hidden_size"]
    assert found.executed_parameters() + embedding == pytest.approx(active, rel=0.02)


def test_a_mixture_is_what_its_documentation_says():
    for values in ({}, SHARED, {"num_experts_per_tok": 3, "norm_topk_prob": False}, {"num_experts_per_tok": 4}):
        config, model = architecture(**values).config, titan(**values)
        mixture, x_BLD = model.layers["1"].moe, torch.randn(2, 5, 32)
        experts = mixture.routed_experts.inner_experts
        expected_BLD = torch.zeros_like(x_BLD)
        for b in range(2):
            for t in range(5):
                x = x_BLD[b, t]
                scores = (mixture.router.gate.weight @ x).softmax(0)
                weights, chosen = scores.topk(config.num_experts_per_tok)
                weights = weights / weights.sum() if config.norm_topk_prob else weights
                for weight, e in zip(weights, chosen, strict=True):
                    hidden = F.silu(experts.w1_EFD[e] @ x) * (experts.w3_EFD[e] @ x)
                    expected_BLD[b, t] += weight * (experts.w2_EDF[e] @ hidden)
                if shared := mixture.shared_experts:
                    hidden = F.silu(shared.w1.weight @ x) * (shared.w3.weight @ x)
                    expected_BLD[b, t] += torch.sigmoid(shared.gate.weight @ x) * (shared.w2.weight @ hidden)
        assert torch.allclose(mixture(x_BLD), expected_BLD, atol=1e-5)


def test_layers_can_stay_dense():
    model = titan(mlp_only_layers=[0])
    assert [block.moe_enabled for block in model.layers.values()] == [False, True]
    assert hasattr(model.layers["0"], "feed_forward")


@pytest.mark.parametrize("values", [{}, {"qk_norm": True}, {**SHARED, "qkv_bias": True}, SHARED], ids=str)
def test_files_of_an_export_come_back_bit_equal(values, tmp_path):
    """Stock classes write every expert by itself, Mixtral under other names; ours writes them as they are in memory."""
    found, model = architecture(**values), titan(**values)
    state = model.state_dict()
    adapter = found.state_dict_adapter()(found.titan_config(inner_attention=None, seq_len=32), None)
    hf = hf_model_class(found.config)(found.hf_config())
    hf.load_state_dict(adapter.to_hf(state), strict=False)
    hf.save_pretrained(tmp_path)
    files = load_file(tmp_path / "model.safetensors")
    back = adapter.from_hf(files)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)

    names = [name for name in files if "experts.3." in name]
    assert bool(names) is (found.vllm_architecture() != "SmallwrightForCausalLM")
    for name in names[:1]:
        files.pop(name)
        with pytest.raises(InputError, match=r"missing weights|of another shape"):
            adapter.from_hf(files)


def test_balance_is_one_where_experts_are_used_alike_and_grows_to_their_number():
    even_BLE = torch.full((2, 8, 4), 0.25)
    round_robin_BLS = (torch.arange(16).view(1, 8, 2) % 4).expand(2, 8, 2)
    assert torch.equal(balance_loss(even_BLE, round_robin_BLS), torch.ones(2))
    one_BLE = F.one_hot(torch.zeros(2, 8, dtype=torch.long), 4).float()
    assert torch.equal(balance_loss(one_BLE, torch.zeros(2, 8, 1, dtype=torch.long)), torch.full((2,), 4.0))
    # Each sequence by itself: two that use one expert each are not balanced together.
    apart_BLE = torch.stack([one_BLE[0], one_BLE[0].roll(1, -1)])
    assert torch.equal(balance_loss(apart_BLE, apart_BLE.argmax(-1, keepdim=True)), torch.full((2,), 4.0))


def test_the_loss_reaches_the_gradients_once_and_however_rows_are_divided():
    values = {**SHARED, "router_aux_loss_coef": 0.5}
    plain, whole, parts = titan(**values), titan(2, **values), titan(2, **values)
    for model in (plain, whole, parts):
        model.train()
    scores = {}
    for name, block in plain.layers.items():
        block.moe.router.register_forward_hook(lambda _, __, out, name=name: scores.update({name: out}))
    loss = loss_of(plain, IDS_BL)
    balance = sum(balance_loss(scores_BLE, experts_BLS).mean() for _, experts_BLS, scores_BLE in scores.values())
    (loss + 0.5 * balance).backward()
    reported = loss_of(whole, IDS_BL)
    assert torch.equal(reported, loss), "what is reported is the cross-entropy alone"
    reported.backward()
    for row_BL in IDS_BL.split(1):
        (loss_of(parts, row_BL) / 2).backward()
    for name, parameter in plain.named_parameters():
        for other in (whole, parts):
            assert torch.allclose(dict(other.named_parameters())[name].grad, parameter.grad, atol=1e-6), name


def test_experts_are_used_evenly_where_the_loss_balances_them_and_not_without():
    def trained(coefficient):
        model = titan(2, router_aux_loss_coef=coefficient, num_experts_per_tok=1).train()
        with torch.no_grad():
            for block in model.layers.values():  # in the second layer three of four tokens begin at one expert
                block.moe.router.gate.weight.mul_(0.1)
                block.ffn_norm.weight[0] = 4.0
                block.moe.router.gate.weight[0, 0] = 1.0
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(40):
            for block in model.layers.values():
                block.moe.tokens_per_expert_E.zero_()
            loss = loss_of(model, IDS_BL)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.5 * losses[0]
        return torch.stack([block.moe.tokens_per_expert_E for block in model.layers.values()]).amax(1) / 32

    busiest, unbalanced = trained(0.03), trained(0.0)
    assert bool((busiest < 0.4).all()), busiest  # of 4 experts; 0.25 is even
    assert bool((unbalanced > 0.45).any()), unbalanced


@pytest.mark.parametrize(
    ("values", "key", "fix"),
    [
        ({"num_experts": 0}, "num_experts=0", "from 1"),
        ({"num_experts_per_tok": 5}, "num_experts_per_tok=5", "Use 4 or less"),
        ({"num_experts": None, "moe_intermediate_size": 16}, "moe_intermediate_size=16", "num_experts"),
        ({"num_experts": None, "mlp_only_layers": [0]}, "mlp_only_layers=(0,)", "num_experts"),
        ({"moe_intermediate_size": 20}, "moe_intermediate_size=20", "Use 24"),
        ({"mlp_only_layers": [2]}, "mlp_only_layers=[2]", "from 0 to 1"),
        ({"mlp_only_layers": [0, 1]}, "mlp_only_layers=[0, 1]", "Leave some out"),
        ({"ffn_groups": {"all": "all"}}, "num_experts=4", "ffn_groups"),
        ({"activation": "gelu"}, "activation=gelu", "Set activation=silu"),
        ({"series_activation": 2}, "series_activation=2", "series_activation=1"),
        ({"router_aux_loss_coef": -1.0}, "router_aux_loss_coef=-1", "at least 0"),
    ],
    ids=str,
)
def test_what_makes_no_mixture_is_refused_with_key_and_fix(values, key, fix):
    with pytest.raises(ConfigError) as error:
        architecture(**values)
    assert key in str(error.value)
    assert fix in str(error.value)
    assert "\n" not in str(error.value)
