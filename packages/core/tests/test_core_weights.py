"""Folders of weights, whole and damaged, and what is missing in a model."""

import json
from types import SimpleNamespace

import pytest
from core.errors import InputError
from core.weights import ModelFolder, Weight, compare, shapes, tied_names

CONTENT = {"a.weight": ("F32", [2, 3]), "a.bias": ("BF16", [3]), "empty": ("F32", [0, 4])}
BYTES = {"F32": 4, "BF16": 2}


def entries(content=CONTENT, start=0):
    """Return the header of a file, and the length of what follows it."""
    header = {}
    for name, (dtype, shape) in content.items():
        size = BYTES[dtype]
        for part in shape:
            size *= part
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        start += size
    return header, start


def write(file, header, length):
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(length))


@pytest.fixture
def model(tmp_path):
    header, length = entries()
    write(tmp_path / "model.safetensors", {"__metadata__": {"format": "pt"}, **header}, length)
    return tmp_path


def test_headers_tell_names_shapes_and_types(model):
    assert ModelFolder(model).weights() == {
        "a.weight": Weight((2, 3), "F32"),
        "a.bias": Weight((3,), "BF16"),
        "empty": Weight((0, 4), "F32"),
    }


def test_headers_are_read_as_safetensors_reads_them(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason="core alone does not need it")
    import numpy as np

    written = {"x": np.zeros((2, 5), "<f4"), "y": np.ones(3, "<i8"), "one": np.array(3.0)}
    numpy.save_file(written, tmp_path / "model.safetensors")
    found = ModelFolder(tmp_path).weights()
    assert found == {"x": Weight((2, 5), "F32"), "y": Weight((3,), "I64"), "one": Weight((), "F64")}


def change(file, edit):
    header, length = entries()
    edit(header)
    write(file, header, length)


DAMAGE = {
    "cut off": lambda f: f.write_bytes(f.read_bytes()[:-1]),
    "too long": lambda f: f.write_bytes(f.read_bytes() + b"\0"),
    "nothing": lambda f: f.write_bytes(b""),
    "a word": lambda f: f.write_bytes(b"cut"),
    "large header": lambda f: f.write_bytes(b"\xff" * 99),
    "not JSON": lambda f: f.write_bytes((4).to_bytes(8, "little") + b"{'a'"),
    "not text": lambda f: f.write_bytes((2).to_bytes(8, "little") + b"\xff\xfe"),
    "nested": lambda f: f.write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000),
    "a list": lambda f: f.write_bytes((2).to_bytes(8, "little") + b"[]"),
    "an entry": lambda f: change(f, lambda h: h.update(a=[])),
    "no shape": lambda f: change(f, lambda h: h["a.bias"].pop("shape")),
    "another shape": lambda f: change(f, lambda h: h["a.bias"].update(shape=[4])),
    "a negative shape": lambda f: change(f, lambda h: h["a.weight"].update(shape=[-2, -3])),
    "a fraction": lambda f: change(f, lambda h: h["a.bias"].update(shape=[3.0])),
    "another type": lambda f: change(f, lambda h: h["a.bias"].update(dtype="F99")),
    "types": lambda f: change(f, lambda h: h["a.bias"].update(dtype=["F32"])),
    "an overlap": lambda f: change(f, lambda h: h["a.bias"].update(data_offsets=[0, 6])),
    "one offset": lambda f: change(f, lambda h: h["a.bias"].update(data_offsets=[0])),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_line(model, damage):
    DAMAGE[damage](model / "model.safetensors")
    with pytest.raises(InputError) as error:
        ModelFolder(model, "model=mine").weights()
    assert str(error.value).startswith("model=mine: model.safetensors: cannot be read (")
    assert "\n" not in str(error.value)


def test_an_index_names_the_files(model):
    header, length = entries({"b": ("F32", [5])})
    write(model / "part-1.safetensors", header, length)
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"b": "part-1.safetensors"}}))
    assert ModelFolder(model).weights() == {"b": Weight((5,), "F32")}
    index.write_text(json.dumps({"weight_map": {"b": "../part-2.safetensors"}}))
    with pytest.raises(InputError, match=r"index\.json: names part-2\.safetensors, which is not there"):
        ModelFolder(model).weights()
    for content in ("[]", '{"weight_map": {"a": 5}}', "{}"):
        index.write_text(content)
        with pytest.raises(InputError, match="no weight_map"):
            ModelFolder(model).weights()


def test_a_folder_without_weights_says_so(tmp_path):
    with pytest.raises(InputError, match=r"no \*\.safetensors file\. Give a directory"):
        ModelFolder(tmp_path).weights()
    with pytest.raises(InputError, match=r"no \*\.safetensors file"):
        ModelFolder(tmp_path / "nowhere").weights()
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle"):
        ModelFolder(tmp_path).weights()


def test_what_is_missing_has_no_place_or_another_shape_is_named():
    expected = {"a": (2, 3), "b": (4,), "c": (5,)}
    assert not compare(expected, expected)
    different = compare({"a": (2, 3), "b": (3,), "x": (1,)}, expected)
    assert (different.missing, different.unexpected) == ({"c": (5,)}, {"x": (1,)})
    assert str(different) == (
        "missing weights: c [5]; weights that the model has no place for: x [1]; "
        "weights of another shape: b [3] for [4]"
    )
    many = {str(number): (1,) for number in range(9)}
    assert str(compare({}, many)).endswith("3 [1] and 5 more")


def test_a_tied_weight_may_have_either_name():
    weight, other = SimpleNamespace(shape=(2,)), SimpleNamespace(shape=(3,))
    state = {"embedding": weight, "norm": other, "head": weight}
    model = SimpleNamespace(named_parameters=lambda remove_duplicate: state.items())
    tied = tied_names(model)
    assert tied == [["embedding", "head"]]
    for found in ({"embedding", "norm"}, {"head", "norm"}, set(state)):
        assert not compare(shapes({name: state[name] for name in found}), shapes(state), tied)
    assert compare({"norm": (3,)}, shapes(state), tied).missing == {"embedding": (2,), "head": (2,)}
