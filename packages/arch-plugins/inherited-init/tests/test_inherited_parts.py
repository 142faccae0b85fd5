"""Every model type of the Llama kind, every part of the decoder, shared feed-forwards, pooled heads, vocabularies."""

import json

import pytest
import torch
import transformers
from core.errors import InputError, UserError
from core.typed import build
from core.weights import ModelFolder
from inherited_support import CALIBRATION, IDS, SOURCE, architecture, inherit, kept, word_tokenizer
from safetensors.torch import load_file
from smallwright_decoder.architecture import DecoderArchitecture
from smallwright_decoder.config import DecoderConfig
from smallwright_inherited_init.vocabulary import match
from smallwright_testing.tokens import write_tokens
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

DECODER = {key: value for key, value in SOURCE.items() if not key.endswith("token_id")} | {"rms_norm_eps": 1e-6}
EVERYTHING = {
    "qk_norm": True,
    "qkv_bias": True,
    "sliding_window": 8,
    "global_interval": 3,
    "nope_interval": 3,
    "activation": "relu2",
    "series_activation": 2,
    "augmented_shortcuts": 2,
    "shortcut_reduction": 4,
}


def decoder(**values):
    return DecoderArchitecture(build(DecoderConfig, {**DECODER, **values}, "arch"))


def make(source, child):
    """Fill the source's artifact with random weights of this architecture."""
    torch.manual_seed(0)
    model = child.hf_model_class()(child.hf_config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # biases, shortcuts and shifts begin at 0
    for file in source.hf.glob("*.safetensors"):
        file.unlink()
    model.save_pretrained(source.hf)
    return model


@pytest.mark.parametrize("kind", ["Mistral", "Qwen2", "Qwen3", "SmolLM3"])
def test_stock_models_are_inherited_whole_and_cut(source, tokens, tmp_path, kind):
    classes = {"config_class": getattr(transformers, f"{kind}Config")}
    classes["model_class"] = getattr(transformers, f"{kind}ForCausalLM")
    same = {"pad_token_id": None}
    parent = make(source, architecture(**classes, **same))
    _, whole = inherit(source, architecture(**classes, **same), tmp_path)
    assert torch.equal(whole(IDS).logits, parent(IDS).logits)
    parts = {"Mistral": {"sliding_window": 4096}, "Qwen2": {"qkv_bias": True}, "Qwen3": {"qk_norm": True}}
    parts = parts.get(kind, {"nope_interval": 4, "rope_theta": 2e6})
    ours = decoder(**parts)
    _, again = inherit(source, ours, tmp_path)
    assert torch.allclose(again(IDS).logits, parent(IDS).logits, atol=1e-6)
    layers = {"layers": [0, 1, 2, 3]}
    small = decoder(**parts, num_hidden_layers=4, hidden_size=24, intermediate_size=10)
    for rule in ("l2", "taylor", "activation"):
        _, child = inherit(source, small, tmp_path, {"tokens": tokens}, neurons=rule, **layers, **CALIBRATION)
        assert child.num_parameters() == small.parameters()


def test_biases_and_norms_are_cut_with_their_heads(source, tmp_path):
    make(source, decoder(**EVERYTHING))
    small = decoder(**EVERYTHING, num_attention_heads=2, num_key_value_heads=1, hidden_size=16, num_hidden_layers=3)
    inherit(source, small, tmp_path)
    ours, theirs = load_file(tmp_path / "child/hf/model.safetensors"), load_file(source.hf / "model.safetensors")
    report = kept(tmp_path)
    group, heads = report["key_value_heads.1"]["indices"][0], report["query_heads.1"]["indices"]
    rows = [head * 8 + place for head in heads for place in range(8)]
    # Kept layers are 0, 1 and 5: the third has the window and positions of the source's sixth.
    assert report["layers"]["indices"] == [0, 1, 5]
    for old, new in ((1, 1), (5, 2)):
        if old == 1:
            there, here = f"model.layers.{old}.self_attn", f"model.layers.{new}.self_attn"
            assert torch.equal(ours[f"{here}.q_proj.bias"], theirs[f"{there}.q_proj.bias"][rows])
            for part in "kv":
                cut = theirs[f"{there}.{part}_proj.bias"][8 * group : 8 * group + 8]
                assert torch.equal(ours[f"{here}.{part}_proj.bias"], cut)
        for name in ("self_attn.q_norm.weight", "self_attn.k_norm.weight", "mlp.act_fn.scale", "mlp.act_fn.shift"):
            assert torch.equal(ours[f"model.layers.{new}.{name}"], theirs[f"model.layers.{old}.{name}"])
    channels, bottleneck = report["channels"]["indices"], report["5.attention_shortcuts.1"]["indices"]
    assert len(bottleneck) == 4
    path = "attention_shortcuts.1.up_proj.weight"
    cut = theirs[f"model.layers.5.{path}"][channels][:, bottleneck]
    assert torch.equal(ours[f"model.layers.2.{path}"], cut)


@pytest.mark.parametrize("rule", ["l1", "l2", "taylor", "activation", "fisher", "mask"])
def test_every_part_at_once(source, tokens, tmp_path, rule):
    parts = {**EVERYTHING, "ffn_groups": {"middle": "2-4"}}
    parent = make(source, decoder(**parts))
    settings = {"neurons": rule, "mask_steps": 3, **CALIBRATION}
    _, whole = inherit(source, decoder(**parts), tmp_path, {"tokens": tokens}, **settings)
    assert torch.equal(whole(IDS).logits, parent(IDS).logits)
    small = decoder(**{**EVERYTHING, "ffn_groups": {"middle": "1"}}, num_hidden_layers=3, hidden_size=24)
    settings["layers"] = [0, 3, 5]
    _, child = inherit(source, small, tmp_path, {"tokens": tokens}, **settings)
    assert child.num_parameters() == small.parameters()


def test_layers_must_run_as_they_were_trained(source, tmp_path):
    make(source, decoder(nope_interval=3))
    with pytest.raises(UserError, match=r"layer 2 of the child has position embedding .* false, .* layer 4 .* true"):
        inherit(source, decoder(nope_interval=3, num_hidden_layers=4), tmp_path)
    with pytest.raises(UserError, match=r"arch.qk_norm=true: the source was trained with false"):
        inherit(source, decoder(nope_interval=3, qk_norm=True), tmp_path)
    scaled = {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original_max_position": 32}
    with pytest.raises(UserError, match=r"arch.rope_scaling=llama3 \(factor 8, .*: the source was trained with none"):
        inherit(source, decoder(nope_interval=3, **scaled), tmp_path)


def test_shared_feed_forward_is_cut_once(source, tmp_path):
    shared = {"ffn_groups": {"all": "all"}}
    parent = make(source, decoder(**shared))
    _, whole = inherit(source, decoder(**shared), tmp_path)
    assert torch.equal(whole(IDS).logits, parent(IDS).logits)
    small = decoder(**shared, num_hidden_layers=4, intermediate_size=16)
    summary, child = inherit(source, small, tmp_path)
    assert summary["importance"]["neurons.all"]["kept"] == 16
    assert child.num_parameters() == small.parameters()
    _, plain = inherit(source, decoder(), tmp_path)
    assert torch.equal(plain(IDS).logits, parent(IDS).logits)


def test_layers_of_their_own_become_shared_only_when_asked(source, tmp_path):
    with pytest.raises(UserError, match=r"arch.ffn_groups: .* from 6 feed-forward networks"):
        inherit(source, decoder(ffn_groups={"all": "all"}), tmp_path)
    _, child = inherit(source, decoder(ffn_groups={"ends": "0,5"}), tmp_path, shared_ffn="mean")
    theirs = source.model.model.layers
    mean = (theirs[0].mlp.gate_proj.weight + theirs[5].mlp.gate_proj.weight) / 2
    assert torch.allclose(child.model.shared_ffns["ends"].gate_proj.weight, mean)
    assert torch.equal(child.model.layers[2].mlp.up_proj.weight, theirs[2].mlp.up_proj.weight)
    assert kept(tmp_path)["neurons.0+5"]["kept"] == 24


def test_key_value_heads_are_averaged(source, tmp_path):
    parent = make(source, decoder(num_key_value_heads=4, qkv_bias=True))
    fewer = decoder(num_key_value_heads=2, qkv_bias=True)
    _, child = inherit(source, fewer, tmp_path, key_value_heads="mean")
    for name in ("k_proj.weight", "v_proj.weight", "k_proj.bias"):
        theirs = parent.model.layers[3].get_parameter(f"self_attn.{name}")
        ours = child.model.layers[3].get_parameter(f"self_attn.{name}")
        assert torch.allclose(ours[:8], (theirs[:8] + theirs[8:16]) / 2, atol=1e-7)
        assert torch.allclose(ours[8:], (theirs[16:24] + theirs[24:]) / 2, atol=1e-7)
    assert kept(tmp_path)["query_heads.3"]["indices"] == [0, 1, 2, 3]
    _, whole = inherit(source, decoder(num_key_value_heads=4, qkv_bias=True), tmp_path, key_value_heads="mean")
    assert torch.equal(whole(IDS).logits, parent(IDS).logits)
    with pytest.raises(UserError, match=r"num_key_value_heads to 4 or more, or arch.initializer.key_value_heads=mean"):
        inherit(source, fewer, tmp_path)


def test_equal_heads_lose_nothing_in_the_mean(source, tmp_path):
    parent = decoder(num_key_value_heads=4)
    model = make(source, parent)
    with torch.no_grad():
        for layer in model.model.layers:
            for name in ("k_proj", "v_proj"):
                weight = layer.get_parameter(f"self_attn.{name}.weight").view(2, 2, 8, 32)
                weight[:, 1] = weight[:, 0]
    model.save_pretrained(source.hf)
    _, child = inherit(source, decoder(num_key_value_heads=2), tmp_path, key_value_heads="mean")
    assert torch.allclose(child(IDS).logits, model(IDS).logits, atol=1e-5)


def test_rows_follow_their_tokens(source, tokens, tmp_path):
    """A reordered vocabulary with two new words: rows are copied by word; the new ones are means."""
    words = [f"t{i}" for i in range(95, 5, -1)] + ["brand", "new"]
    ours = word_tokenizer(tmp_path / "tokenizer", words)
    child = architecture(vocab_size=92)
    settings = {"neurons": "taylor", **CALIBRATION}
    with pytest.raises(UserError, match=r"set arch.initializer.vocabulary=by_token"):
        inherit(source, child, tmp_path, {"tokenizer": ours}, vocabulary="same")
    tokens = write_tokens(tmp_path / "fives", [[5] * 9000])
    summary, model = inherit(source, child, tmp_path, {"tokenizer": ours, "tokens": tokens}, **settings)
    assert summary["vocabulary"] == {"copied": 90, "mean_of_pieces": 2, "mean_of_all": 0, "of": 92}
    theirs, rows = source.model.model.embed_tokens.weight, model.model.embed_tokens.weight
    assert torch.equal(rows[:90], theirs[torch.arange(95, 5, -1)])
    assert torch.equal(rows[90], theirs[0])  # the tokenizer's unknown word
    assert json.loads((tmp_path / "child/hf/tokenizer.json").read_text())["model"]["vocab"]["new"] == 91
    assert model.config.eos_token_id is None


LETTERS = [("\u00c3", "\u00a4"), ("\u00e2", "\u0124")]
"""Two bytes of one letter, and two of the three of a quotation mark, as byte-level BPE writes them."""


def byte_level(folder, merges, eos):
    """A byte-level BPE tokenizer with these merges."""
    vocabulary = {letter: i for i, letter in enumerate([*sorted(pre_tokenizers.ByteLevel.alphabet()), eos])}
    for pair in merges:
        vocabulary["".join(pair)] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos}))
    return tokenizer


def test_new_tokens_are_the_mean_of_their_pieces(tmp_path):
    theirs = byte_level(tmp_path / "theirs", [("t", "h"), ("i", "n")], "</s>")
    pieces = [("t", "h"), ("th", "in"), ("i", "n")]
    ours = byte_level(tmp_path / "ours", [pieces[0], pieces[2], pieces[1], *LETTERS], "<end>")
    known, size = theirs.get_vocab(), ours.get_vocab_size()
    found = match(
        tmp_path / "ours",
        ModelFolder(tmp_path / "theirs", "source"),
        size + 2,
        259,
        source_eos=known["</s>"],
        same=False,
    )
    weight = torch.randn(259, 4, generator=torch.Generator().manual_seed(0))
    rows, tokens = found(weight), ours.get_vocab()
    assert torch.equal(rows[tokens["th"]], weight[known["th"]])
    assert torch.allclose(rows[tokens["thin"]], (weight[known["th"]] + weight[known["in"]]) / 2)
    assert torch.equal(rows[tokens["<end>"]], weight[known["</s>"]])
    assert torch.allclose(rows[tokens["\u00c3\u00a4"]], (weight[known["\u00c3"]] + weight[known["\u00a4"]]) / 2)
    broken = tokens["\u00e2\u0124"]
    assert torch.allclose(rows[broken], (weight[known["\u00e2"]] + weight[known["\u0124"]]) / 2)
    assert torch.allclose(rows[-1], weight.mean(0))
    assert found.counts == {"copied": 259, "mean_of_pieces": 3, "mean_of_all": 2, "of": size + 2}
    assert found.in_source_ids([ours.encode("thin").ids, ours.encode("in").ids]) == theirs.encode("thin" + "in").ids


def test_vocabularies_that_cannot_be_matched_are_refused(source, tmp_path):
    (source.hf / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"arch.vocab_size=128: the source has 96 rows"):
        inherit(source, architecture(vocab_size=128), tmp_path)
    word_tokenizer(source.hf, [f"t{i}" for i in range(200)])
    ours = word_tokenizer(tmp_path / "tokenizer")
    (source.hf / "tokenizer.json").rename(tmp_path / "theirs.json")
    with pytest.raises(UserError, match=r"tokenizer\.json: not found, so it is not known which tokens"):
        inherit(source, architecture(), tmp_path, {"tokenizer": ours})
    (tmp_path / "theirs.json").rename(source.hf / "tokenizer.json")
    with pytest.raises(InputError, match="has id 199, and the source's embedding 96 rows"):
        inherit(source, architecture(), tmp_path, {"tokenizer": ours})
    (source.hf / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is not a tokenizer"):
        inherit(source, architecture(), tmp_path, {"tokenizer": ours})


def test_experts_are_refused_in_child_and_source(source, tmp_path):
    mixture = decoder(num_experts=2)
    with pytest.raises(UserError, match=r"arch: num_experts=2: inherited_init cuts dense feed-forwards only"):
        inherit(source, mixture, tmp_path)
    make(source, decoder(num_experts=2, norm_topk_prob=False))
    with pytest.raises(UserError, match=r"num_experts=2: inherited_init cuts"):
        inherit(source, decoder(), tmp_path)
