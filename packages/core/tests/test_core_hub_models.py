"""A model by its hub id: the hub's own client against a server that speaks its protocol."""

import hashlib
import json
import re

import numpy
import pytest
from core import entries, hub
from core.entered import EnteredModel
from core.errors import InputError, NotAtHand
from core.interfaces import Job
from core.stock import StockArchitecture

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra 'hub'")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
COMMIT = "a" * 40
SHAPE = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 10}
FILES = {
    "config.json": json.dumps({"model_type": "llama", **SHAPE}).encode(),
    "tokenizer.json": json.dumps({"model": {"vocab": {"a": 0}}}).encode(),
    "model.safetensors": safetensors.save({"embed": numpy.zeros((10, 8), "f4")}),
    "pytorch_model.bin": b"a pickle",
    "modeling.py": b"raise SystemExit('this code ran')",
}


def respond(request):
    """``owner/small`` at one commit, which is its branch ``main`` and its tag ``v1``, and ``owner/gated``."""
    path = request.path.partition("?")[0]
    name, revision = re.fullmatch(r"(?:/api/models)?/(owner/\w+)(?:/(?:revision|tree|resolve)/(\w+).*)?", path).groups()
    if name == "owner/gated":
        request.answer(403, b"{}", X_Error_Code="GatedRepo")
    elif name != "owner/small":
        request.answer(401, b"{}", X_Error_Code="RepoNotFound")
    elif revision not in ("main", "v1", COMMIT):
        request.answer(404, b"{}", X_Error_Code="RevisionNotFound")
    elif "/revision/" in path:
        listed = [{"rfilename": file} for file in FILES]
        request.answer(200, json.dumps({"id": name, "sha": COMMIT, "siblings": listed}).encode())
    elif "/tree/" in path:
        listed = [{"type": "file", "path": file, "oid": "0", "size": len(data)} for file, data in FILES.items()]
        request.answer(200, json.dumps(listed).encode())
    else:
        data = FILES[path.rpartition("/")[2]]
        request.answer(200, data, X_Repo_Commit=COMMIT, ETag=f'"{hashlib.sha1(data).hexdigest()}"')


@pytest.fixture
def asked(serve_hub):
    """The requests to the hub, each its verb and path."""
    return serve_hub(respond)


@pytest.mark.parametrize("named", ["owner/small", "owner/small@v1", f"owner/small@{COMMIT}"])
def test_a_model_of_the_hub_is_planned_by_its_small_files_and_kept_with_its_commit(
    asked, registry, tmp_path, monkeypatch, named
):
    monkeypatch.setattr(entries, "known_to_transformers", lambda model_type: True)
    entered = entries.model(named, registry)
    assert isinstance(entered.planned, StockArchitecture)
    assert not [path for _, path in asked if path.endswith((".safetensors", ".bin", ".py"))], "planning fetches little"
    assert entered.spec.content == {"hub": "owner/small", "revision": COMMIT}
    assert entered.spec.external_files == (f"hf://owner/small@{COMMIT}",)
    summary = EnteredModel(entered.spec.config).run(Job(name="model", output=tmp_path / "out", inputs={}, seed=0))
    kept = sorted(file.name for file in (tmp_path / "out" / "hf").iterdir())
    assert kept == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (summary["origin"], summary["revision"]) == ("owner/small", COMMIT)
    assert summary["content"]
    assert not [path for _, path in asked if path.endswith((".bin", ".py"))]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("owner/nothing", "there is no such folder, and the hub has no such model. For a private one set HF_TOKEN."),
        ("owner/gated", "access must be asked for at {at}/owner/gated, and HF_TOKEN set."),
        ("owner/small@v9", "the hub has no revision v9 of it."),
        ("owner/a..b", "no such folder, and no hub id (owner/name)."),
    ],
)
def test_a_model_that_the_hub_does_not_give_is_said_in_one_line(asked, registry, named, said):
    with pytest.raises(InputError) as error:
        entries.model(named, registry)
    assert str(error.value) == f"model={named}: {said.format(at=constants.ENDPOINT)}"


def test_a_hub_that_is_not_there_is_named(asked, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotAtHand, match=r"^model=owner/small: .*: http://127\.0\.0\.1:9 cannot be reached\.$"):
        hub.snapshot("owner/small", None, hub.DESCRIPTION, "model")
