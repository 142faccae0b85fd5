"""Every rule keeps everything where nothing is cut, drops dead parts first, and beats chance on a trained source."""

import random

import pytest
import torch
from inherited_support import (
    CALIBRATION,
    DEAD_CHANNELS,
    DEAD_GROUP,
    DEAD_NEURONS,
    IDS,
    SOURCE,
    architecture,
    inherit,
    kept,
    toy_stream,
)
from smallwright_inherited_init import masks
from smallwright_inherited_init.calibration import load_model, mean_loss, without
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.layer_rules import block_influence, losses_without, measure_layers
from transformers import LlamaConfig, LlamaForCausalLM

STRUCTURE_RULES = ("l1", "l2", "taylor", "activation", "fisher", "mask")
LAYER_RULES = ("first_last", "block_influence", "perplexity", "contiguous")
HELD_OUT = toy_stream(64 * 32, seed=9).view(64, 32)


def quiet(*_, **__):
    pass


@pytest.mark.parametrize("rule", STRUCTURE_RULES)
def test_keeping_everything_by_any_rule_keeps_every_bit(trained, tokens, tmp_path, rule):
    _, child = inherit(trained, architecture(), tmp_path, {"tokens": tokens}, neurons=rule, mask_steps=2, **CALIBRATION)
    assert torch.equal(child(IDS).logits, trained.model(IDS).logits)


@pytest.mark.parametrize("rule", LAYER_RULES)
def test_keeping_every_layer_by_any_rule_keeps_every_bit(trained, tokens, tmp_path, rule):
    summary, child = inherit(trained, architecture(), tmp_path, {"tokens": tokens}, layers=rule, **CALIBRATION)
    assert torch.equal(child(IDS).logits, trained.model(IDS).logits)
    assert summary["rules"]["layers"] == rule


@pytest.mark.parametrize("rule", STRUCTURE_RULES)
def test_dead_parts_are_dropped_first(trained, tokens, tmp_path, rule):
    """A child without the dead neurons and the dead key/value head computes what the source computes.

    Learned masks drop by what the loss needs: a living part may go first only where closing it costs nothing.
    """
    small = architecture(intermediate_size=21, num_attention_heads=2, num_key_value_heads=1)
    _, child = inherit(trained, small, tmp_path, {"tokens": tokens}, neurons=rule, **CALIBRATION)
    report, source = kept(tmp_path), Dimensions.of(trained.model.config, "source")
    whole = mean_loss(trained.model, HELD_OUT)

    def cost(name, of, closed):
        gate = torch.ones(1, of)
        gate[0, sorted(closed)] = 0
        with masks.gated(trained.model, source, range(6), {name: gate}):
            return mean_loss(trained.model, HELD_OUT) - whole

    living, right = 1 - DEAD_GROUP, 0
    for layer in range(6):
        neurons = set(range(24)) - set(report[f"neurons.{layer}"]["indices"]) - set(DEAD_NEURONS)
        groups = {living} - set(report[f"key_value_heads.{layer}"]["indices"])
        right += not neurons
        if rule == "mask":
            assert not neurons or cost(source.ffn(layer), 24, neurons) < 0.005
            assert not groups or cost(f"groups.{layer}", 2, groups) < 0.005
        else:
            assert not neurons
            assert not groups
            assert report[f"query_heads.{layer}"]["indices"] == [2 * living, 2 * living + 1]
    assert right >= 4
    if rule != "mask":
        assert torch.allclose(child(IDS).logits, trained.model(IDS).logits, atol=1e-4)


@pytest.mark.parametrize("rule", STRUCTURE_RULES)
def test_dead_channels_are_dropped_first(trained, tokens, tmp_path, rule):
    inherit(trained, architecture(hidden_size=28), tmp_path, {"tokens": tokens}, neurons=rule, **CALIBRATION)
    assert set(range(32)) - set(kept(tmp_path)["channels"]["indices"]) == set(DEAD_CHANNELS)


@pytest.mark.parametrize("rule", ["block_influence", "perplexity", "contiguous"])
def test_layers_that_do_nothing_are_dropped(trained, tokens, tmp_path, rule):
    with torch.no_grad():
        for index in (1, 2):
            trained.model.model.layers[index].mlp.down_proj.weight.zero_()
            trained.model.model.layers[index].self_attn.o_proj.weight.zero_()
    trained.model.save_pretrained(trained.hf)
    small = architecture(num_hidden_layers=4)
    summary, child = inherit(trained, small, tmp_path, {"tokens": tokens}, layers=rule, **CALIBRATION)
    assert summary["layers"] == [0, 3, 4, 5]
    assert torch.allclose(child(IDS).logits, trained.model(IDS).logits, atol=1e-5)
    scores = kept(tmp_path)["layers"]["scores"]
    assert len(scores) == (5 if rule == "contiguous" else 6)
    assert rule != "block_influence" or scores[1] == pytest.approx(0, abs=1e-6)


def test_measures_of_layers(trained):
    """Block influence and loss by their definitions, on the model that the other tests cut."""
    model = load_model(LlamaConfig(**SOURCE), trained.model.state_dict())
    ids_BL = HELD_OUT[:4]
    hidden = model(input_ids=ids_BL, output_hidden_states=True, use_cache=False).hidden_states
    first = 1 - torch.cosine_similarity(hidden[0], hidden[1], dim=-1).mean()
    assert block_influence(model, ids_BL)[0] == pytest.approx(first.item(), abs=1e-6)
    assert mean_loss(model, ids_BL) == pytest.approx(model(input_ids=ids_BL, labels=ids_BL).loss.item(), abs=1e-6)
    shallow = LlamaForCausalLM(LlamaConfig(**{**SOURCE, "num_hidden_layers": 4})).eval()
    shallow.model.load_state_dict(model.model.state_dict(), strict=False)
    shallow.model.layers = torch.nn.ModuleList(model.model.layers[i] for i in (0, 1, 4, 5))
    with without(model, [2, 3]):
        assert mean_loss(model, ids_BL) == pytest.approx(mean_loss(shallow, ids_BL), abs=1e-6)
    losses = losses_without(model, ids_BL, 2, quiet)
    assert losses[2] == pytest.approx(mean_loss(shallow, ids_BL), abs=1e-6)
    start = losses.index(min(losses))
    chosen = measure_layers("contiguous", model, ids_BL, 4, quiet)
    assert chosen.kept == [layer for layer in range(6) if layer not in (start, start + 1)]
    assert measure_layers("perplexity", model, ids_BL, 6, quiet).kept == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("rule", LAYER_RULES)
def test_rules_for_layers_beat_chance(trained, tokens, tmp_path, rule):
    """The kept ends, and every measured choice, lose less than a random choice of as many layers does on average."""
    small = architecture(num_hidden_layers=4)
    _, child = inherit(trained, small, tmp_path, {"tokens": tokens}, layers=rule, **CALIBRATION)
    others = []
    for dropped in ((a, b) for a in range(6) for b in range(a)):
        with without(trained.model, dropped):
            others.append(mean_loss(trained.model, HELD_OUT))
    assert mean_loss(child, HELD_OUT) < sum(others) / len(others)


@pytest.mark.parametrize("rule", STRUCTURE_RULES)
def test_rules_for_structures_beat_chance(trained, tokens, tmp_path, rule):
    """Half of the neurons by rule lose less than the mean of random halves."""
    _, child = inherit(
        trained, architecture(intermediate_size=12), tmp_path, {"tokens": tokens}, neurons=rule, **CALIBRATION
    )
    source = Dimensions.of(trained.model.config, "source")
    generator, others = random.Random(0), []
    for _ in range(8):
        gates = {source.ffn(layer): torch.zeros(1, 24) for layer in range(6)}
        for gate in gates.values():
            gate[0, generator.sample(range(24), 12)] = 1
        with masks.gated(trained.model, source, range(6), gates):
            others.append(mean_loss(trained.model, HELD_OUT))
    assert mean_loss(child, HELD_OUT) < sum(others) / len(others)


def test_closed_gates_compute_what_the_cut_model_computes(trained, tokens, tmp_path):
    """The final masks open exactly the target's structures, and the masked source is the child within rounding."""
    shape = {"hidden_size": 24, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
    settings = {"layers": [0, 2, 3, 5], "neurons": "mask", "mask_steps": 40}
    _, child = inherit(
        trained, architecture(num_hidden_layers=4, **shape), tmp_path, {"tokens": tokens}, **settings, **CALIBRATION
    )
    source, report = Dimensions.of(trained.model.config, "source"), kept(tmp_path)
    gates = {"channels": torch.zeros(1, 32)}
    gates["channels"][0, report["channels"]["indices"]] = 1
    for layer in (0, 2, 3, 5):
        gates[source.ffn(layer)] = torch.zeros(1, 24)
        gates[source.ffn(layer)][0, report[f"neurons.{layer}"]["indices"]] = 1
        gates[f"queries.{layer}"] = torch.zeros(4)
        gates[f"queries.{layer}"][report[f"query_heads.{layer}"]["indices"]] = 1
        gates[f"queries.{layer}"] = gates[f"queries.{layer}"].view(2, 2)
    assert gates["channels"].sum() == 24
    assert all(gates[f"queries.{layer}"].sum(1).tolist() == [1, 1] for layer in (0, 2, 3, 5))
    with without(trained.model, [1, 4]), masks.gated(trained.model, source, [0, 2, 3, 5], gates):
        masked = trained.model(IDS).logits
    assert (masked - child(IDS).logits).abs().max() < 1e-5 * masked.abs().max()


def test_hard_concrete_gates():
    generator = torch.Generator().manual_seed(0)
    assert masks.sample(torch.full((1000,), 20.0), generator).eq(1).all()
    assert masks.sample(torch.full((1000,), -20.0), generator).eq(0).all()
    log_alpha = torch.full((200_000,), 0.3)
    share = masks.sample(log_alpha, generator).gt(0).float().mean()
    assert share.item() == pytest.approx(masks.open_probability(log_alpha)[0].item(), abs=0.005)


def test_masks_are_the_same_for_the_same_seed(trained, tokens, tmp_path):
    small = architecture(intermediate_size=12)
    settings = {"neurons": "mask", "mask_steps": 20, **CALIBRATION}
    inherit(trained, small, tmp_path, {"tokens": tokens}, **settings)
    first = kept(tmp_path)
    inherit(trained, small, tmp_path, {"tokens": tokens}, **settings)
    assert kept(tmp_path) == first
