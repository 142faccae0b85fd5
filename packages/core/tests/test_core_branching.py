"""What must be the same for a training to go on from a checkpoint of another one."""

from types import SimpleNamespace

import pytest
from core import branching, entries, store
from core.errors import ConfigError, InputError
from core.interfaces import Branch

ARCH = {"implementation": "gqa", "hidden_size": 64, "rope_theta": 1e4}


def write(folder, kind, identity, **inputs):
    folder.mkdir(parents=True)
    if kind == "tokenizer":
        (folder / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    made_by = {"stage": kind, "folder": kind, "identity": identity, "external_files": []}
    store.finish(folder, {**made_by, "inputs": {role: str(place) for role, place in inputs.items()}})
    return folder


@pytest.fixture
def parent(tmp_path):
    root = tmp_path / "store"
    tokenizer = write(root / "tokenizer" / "t-1", "tokenizer", {"vocab": 1})
    made = {"arch": ARCH, "inputs": {"tokenizer": store.digest({"vocab": 1})}}
    return write(root / "pretrain" / "gqa-1", "pretrain", made, tokenizer=tokenizer)


def joined(parent, arch=ARCH, tokenizer=None, **inputs):
    architecture = SimpleNamespace(identity=lambda: dict(arch))
    return branching.of(Branch(artifact=parent, step=4), architecture, tokenizer or chosen({"vocab": 1}), inputs)


def chosen(identity, path=None):
    spec = SimpleNamespace(digest=store.digest(identity))
    return SimpleNamespace(spec=spec, stage=SimpleNamespace(config=SimpleNamespace(path=path)))


def test_a_finished_training_of_the_same_model_becomes_an_input(parent):
    spec = joined(parent, {**ARCH, "rope_theta": 1e5, "max_position_embeddings": 8192})
    assert isinstance(spec, entries.FinishedSpec)
    assert (spec.place, spec.digest) == (parent, store.digest(store.read_manifest(parent)["identity"]))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ({**ARCH, "hidden_size": 128}, r"was trained with arch\.hidden_size=64, and this run has 128\. Set it"),
        ({**ARCH, "implementation": "shared_ffn"}, r"was trained with arch=gqa, and this run has shared_ffn"),
    ],
)
def test_another_model_is_refused_by_the_setting_that_differs(parent, arch, message):
    with pytest.raises(InputError, match=rf"pretrain\.branch_from=.*gqa-1: {message}"):
        joined(parent, arch)


def test_another_tokenizer_is_refused_with_the_folder_of_the_right_one(parent):
    with pytest.raises(InputError, match=r"another tokenizer than this run makes\. Set tokenizer\.path=.*t-1"):
        joined(parent, tokenizer=chosen({"vocab": 2}))
    own = parent.parents[1] / "tokenizer" / "t-1"
    assert joined(parent, tokenizer=chosen({"vocab": 2}, path=str(own))).place == parent


def test_a_training_has_one_beginning(parent):
    with pytest.raises(ConfigError, match=r"the run starts from a model, too \(model= or arch\.initializer\)"):
        joined(parent, init=SimpleNamespace())


def test_what_is_no_training_is_refused(parent):
    tokenizer = parent.parents[1] / "tokenizer" / "t-1"
    with pytest.raises(InputError, match=r"an artifact of the stage tokenizer, which is no artifact of pretraining"):
        joined(tokenizer)
