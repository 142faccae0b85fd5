"""Models of the architectures that are installed here are talked to and asked, without a question at the terminal."""

import io
import json
import sys

import pytest
from core import chat, discovery, generate
from core.typed import build
from smallwright_testing.models import one_thread, tiny_model

pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["shared_ffn", "pangu_pi"])
def model(request, tmp_path_factory):
    """A random model of the architecture, of its smallest size, with the tokenizer of another."""
    import shutil

    import torch

    entry = discovery.load().get("architectures", request.param)
    architecture = entry.build(build(entry.load_config(), {"size": "nano", "vocab_size": 400}, "arch"))
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = architecture.hf_model_class()(architecture.hf_config())
    made.save_pretrained(folder / "hf")
    other = tiny_model(folder / "other") / "hf"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(other / name, folder / "hf" / name)
    return folder / "hf", made.eval()


def test_they_say_what_their_forward_passes_say(model, tmp_path, monkeypatch, capsys):
    import torch
    from transformers import AutoTokenizer

    folder, made = model
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello there\n"))
    settings = ["temperature=0", "max_new_tokens=8", "chat_template=false"]
    (tmp_path / "p.txt").write_text("Hello there\nOne and two, and three of them\n")
    with one_thread():
        assert chat.main([str(folder), *settings]) == 0
        said = capsys.readouterr().out
        files = ["--prompts", str(tmp_path / "p.txt"), "--out", str(tmp_path / "o.jsonl")]
        assert generate.main([str(folder), *files, *settings]) == 0
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for line, row in zip(
        (tmp_path / "p.txt").read_text().splitlines(), (tmp_path / "o.jsonl").read_text().split("\n"), strict=False
    ):
        ids = begun = tokenizer(line)["input_ids"]
        for _ in range(8):
            with torch.no_grad():
                ids = [*ids, int(made(torch.tensor([ids])).logits[0, -1].argmax())]
            if ids[-1] == tokenizer.eos_token_id:
                break
        text = tokenizer.decode(ids[len(begun) :], skip_special_tokens=True)
        assert json.loads(row)["answers"][0]["text"] == text
    assert said.startswith("Hello there")
