"""Starting weights from a folder, and what an adapter must give: all of a model, and nothing else."""

import pytest
import torch
from core.errors import InputError
from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain.cpu import use_device

use_device("cpu")

from smallwright_pretrain.attention import inner_attention  # noqa: E402
from smallwright_pretrain.weights import check_complete, load_starting_weights, unsharded  # noqa: E402


@pytest.fixture
def start(tmp_path):
    """A model's folder, the TorchTitan model of the same architecture with other weights, and the adapter."""
    tiny = Tiny(TinyConfig())
    config = tiny.titan_config(inner_attention=inner_attention("cpu"), seq_len=32)
    torch.manual_seed(5)
    tiny.hf_model_class()(tiny.hf_config()).save_pretrained(tmp_path)
    return tmp_path, unsharded(config), tiny.state_dict_adapter()(config, None)


def change(folder, edit):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")


def test_a_model_starts_from_the_weights_of_a_folder(start):
    from safetensors.torch import load_file

    folder, model, adapter = start
    load_starting_weights(model, adapter, folder)
    loaded = load_file(folder / "model.safetensors")
    assert torch.equal(model.state_dict()["tok_embeddings.weight"], loaded["model.embed_tokens.weight"])
    assert all(torch.equal(weight, loaded[name]) for name, weight in adapter.to_hf(model.state_dict()).items())


def test_weights_that_are_not_the_models_are_refused(start):
    folder, model, adapter = start
    change(folder, lambda weights: weights.update({"model.norm.weight": torch.zeros(3)}))
    with pytest.raises(InputError, match=r"of another shape: norm\.weight \[3\] for \[64\]"):
        load_starting_weights(model, adapter, folder)
    change(folder, lambda weights: weights.pop("model.norm.weight"))
    with pytest.raises(InputError, match=r"missing weights: norm\.weight \[64\]\. Start from"):
        load_starting_weights(model, adapter, folder)
    change(folder, lambda weights: weights.update({"no.such.weight": torch.zeros(3)}))
    with pytest.raises(InputError, match=r"'no\.such\.weight' is no weight of this architecture"):
        load_starting_weights(model, adapter, folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read \(it has"):
        load_starting_weights(model, adapter, folder)
    file.unlink()
    with pytest.raises(InputError, match=r"no \*\.safetensors file"):
        load_starting_weights(model, adapter, folder)


def test_a_tied_weight_is_complete_under_one_name():
    model = torch.nn.ModuleDict({"embedding": torch.nn.Embedding(5, 3), "head": torch.nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    for name in ("embedding.weight", "head.weight"):
        check_complete(model, {name: torch.zeros(5, 3)})
    with pytest.raises(RuntimeError, match=r"of ModuleDict: missing weights: embedding\.weight \[5, 3\], head"):
        check_complete(model, {})
    with pytest.raises(RuntimeError, match="no place for: other"):
        check_complete(model, {"head.weight": torch.zeros(5, 3), "other": torch.zeros(1)})
