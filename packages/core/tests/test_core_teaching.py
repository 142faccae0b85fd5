"""A teacher becomes an input of a training where its tokenizer is the run's."""

import json
from types import SimpleNamespace

import pytest
from core import entries, store, teaching
from core.errors import InputError

KEY = "pretrain.distill.teacher"


def tokenizer_files(folder, piece):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {piece: 0, "b": 1}}}))
    return folder


def artifact(root, tokenizer_digest, piece="a"):
    """A finished training, as far as a teacher is looked at while planning."""
    folder = tokenizer_files(root / "pretrain" / "gqa-1" / "hf", piece).parent
    config = {"model_type": "llama", "vocab_size": 2, "architectures": ["LlamaForCausalLM"]}
    config |= {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    (folder / "hf" / "config.json").write_text(json.dumps(config))
    header = json.dumps({"lm_head.weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]}}).encode()
    (folder / "hf" / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(32))
    made_as = {"implementation": "torchtitan", "plugin": "p", "inputs": {"tokenizer": tokenizer_digest}}
    made_by = {"stage": "pretrain", "folder": "pretrain", "external_files": [], "inputs": {}}
    store.finish(folder, {**made_by, "identity": made_as})
    return folder


def chosen(identity, path=None, directory="nowhere"):
    spec = SimpleNamespace(digest=store.digest(identity), directory=lambda root: root / "tokenizer" / directory)
    return SimpleNamespace(spec=spec, stage=SimpleNamespace(config=SimpleNamespace(path=path)))


NO_PLUGINS = SimpleNamespace(entries=lambda: [], versions=lambda: {})


def of(teacher, tokenizer, root):
    return teaching.of(str(teacher), KEY, tokenizer, NO_PLUGINS, root).spec


def test_a_finished_training_with_the_same_tokenizer_teaches_and_its_hash_counts(tmp_path):
    teacher = artifact(tmp_path, store.digest({"vocab": 1}))
    spec = of(teacher, chosen({"vocab": 1}), tmp_path)
    assert isinstance(spec, entries.FinishedSpec)
    assert (spec.place, spec.digest) == (teacher, store.digest(store.read_manifest(teacher)["identity"]))


def test_a_folder_comes_into_the_store_as_the_model_that_a_run_starts_from_would(tmp_path):
    folder = artifact(tmp_path, "")
    (folder / "manifest.json").unlink()
    spec = of(folder / "hf", chosen({"vocab": 1}, path=str(tokenizer_files(tmp_path / "own", "a"))), tmp_path)
    assert spec.digest == entries.model(str(folder / "hf"), NO_PLUGINS).spec.digest
    (folder / "hf" / "config.json").write_text((folder / "hf" / "config.json").read_text() + " ")
    changed = of(folder / "hf", chosen({"vocab": 1}, path=str(tmp_path / "own")), tmp_path)
    assert changed.digest != spec.digest, "the content of the teacher counts"


def test_another_tokenizer_is_refused_in_a_line(tmp_path):
    teacher = artifact(tmp_path, store.digest({"vocab": 1}))
    with pytest.raises(InputError, match=rf"{KEY}=.*: the run makes a tokenizer .* Set tokenizer\.path=.*gqa-1/hf\."):
        of(teacher, chosen({"vocab": 2}), tmp_path)
    with pytest.raises(InputError, match=rf"{KEY}=.*: made with another tokenizer than .*/own\."):
        of(teacher, chosen({"vocab": 2}, path=str(tokenizer_files(tmp_path / "own", "z"))), tmp_path)


@pytest.mark.parametrize("piece", ["a", "z"])
def test_a_tokenizer_that_the_store_has_is_looked_at(tmp_path, piece):
    teacher = artifact(tmp_path, store.digest({"vocab": 1}))
    made_by = {"stage": "tokenizer", "folder": "tokenizer", "external_files": [], "inputs": {}, "identity": {}}
    store.finish(tokenizer_files(tmp_path / "tokenizer" / "t-2", piece), made_by)
    tokenizer = chosen({"vocab": 2}, directory="t-2")
    if piece == "a":
        assert of(teacher, tokenizer, tmp_path).name == teaching.TEACHER
    else:
        with pytest.raises(InputError, match="made with another tokenizer"):
            of(teacher, tokenizer, tmp_path)
