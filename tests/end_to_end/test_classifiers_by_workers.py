"""Classifiers through the real runner: one worker and two leave the same bytes, trained models included."""

import hashlib
import json
import os
import random
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("floret", reason="floret is not installed")

TOPICS = [
    "shop cart price",
    "news mayor weather",
    "sum idea number",
    "step equation add",
    "solve lesson",
    "proof hence",
]


def small_encoder(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*special, "the", *" ".join(TOPICS).split()]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **names).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(words), initializer_range=0.3, max_position_embeddings=64, **shape)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_one_worker_and_two_leave_the_same_bytes(tmp_path):
    generator = random.Random(0)
    for file in range(3):
        with open(tmp_path / f"{file}.jsonl", "w") as lines:
            for row in range(60):
                label = generator.randrange(6)
                words = generator.choices([*TOPICS[label].split(), "the"], k=generator.randrange(5, 80))
                known = {"label": label} if row % 3 else {}
                lines.write(json.dumps({"text": " ".join(words), "id": f"{file}-{row}", **known}) + "\n")
    encoder = small_encoder(tmp_path / "encoder")
    fasttext = "{use: classifier_fasttext, key: fast, dim: 8, buckets: 1000}"
    quick = f"{{use: classifier_encoder, encoder: {encoder}, max_tokens: 64, batch: 32, learning_rate: 0.003}}"
    found = []
    for workers in (1, 2):
        store = tmp_path / f"store-{workers}"
        command = [
            *(sys.executable, "-m", "core.run", "+data=jsonl", f"data.paths=[{tmp_path}/*.jsonl]"),
            *(f"+data.steps.fast={fasttext}", f"+data.steps.classifier={quick}"),
            *(f"executor.workers={workers}", f"store={store}", f"run_dir={tmp_path}/run-{workers}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=580, env=os.environ)
        assert done.returncode == 0, done.stderr
        (corpus,) = (store / "data").iterdir()
        files = [path for name in ("documents", "reports") for path in (corpus / name).rglob("*") if path.is_file()]
        found.append({str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
        (summary,) = json.loads((tmp_path / f"run-{workers}/report.json").read_text())["data"]["corpora"].values()
        reports = summary["step_reports"]
        assert sum(reports["classifier"]["tables"]["int_score"].values()) > 100
        assert reports["fast"]["labels"] == "label"
    assert any(name.endswith("head.safetensors") for name in found[0])
    assert any(name.endswith("model.bin") for name in found[0])
    assert found[0] == found[1]
