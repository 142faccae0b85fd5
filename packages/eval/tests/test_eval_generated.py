"""The whole stage on tasks whose answers are judged: a tiny random model on Transformers, which gets nothing right."""

import http.server
import json
import random
import threading

import core.samples
import pytest
from core.interfaces import Job
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.judge.settings import JudgeConfig
from smallwright_eval.sandbox import probe
from smallwright_eval.sandbox.settings import CodeConfig
from smallwright_eval.stage import LMEval

POSITIONS = 512
DATA = {
    "openai__openai_humaneval/openai_humaneval/test": {
        "task_id": "HumanEval/0",
        "prompt": "def one():\n",
        "canonical_solution": "    return 1\n",
        "test": "def check(f):\n    assert f() == 1\n",
        "entry_point": "one",
    },
    "google__IFEval/default/train": {
        "key": 1,
        "prompt": "Write without commas.",
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{}],
    },
    "HuggingFaceH4__mt_bench_prompts/default/train": {
        "category": "writing",
        "turns": ["Write.", "Write again."],
        "question_id": 81,
    },
}
TASKS = ("smollm2_humaneval", "smollm2_ifeval", "smollm2_mt_bench", "smallwright_niah")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A random Llama with a tokenizer of bytes and a chat template, and an item for each task."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    root = tmp_path_factory.mktemp("generated")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    chosen = random.Random(0)
    known = ["the", "number", "for", "is", "a", "city", "special", "magic"]
    texts = [" ".join(chosen.choices(known, k=50)) for _ in range(20)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
    tokenizer.save_pretrained(root / "model/hf")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=POSITIONS,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(root / "model/hf")
    for place, row in DATA.items():
        file = root / "data" / f"{place}.jsonl"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(row) + "\n")
    return root


@pytest.fixture(scope="module")
def judged():
    """The address of a judge that rates everything with 2."""

    class Two(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"choices": [{"message": {"content": "Rating: [[2]]"}}]}')

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Two)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def test_judged_tasks_run_in_the_stage_and_leave_their_answers(root, judged, monkeypatch):
    if (fault := probe.problem()) is not None:
        pytest.skip(fault)
    for module in ("langdetect", "immutabledict", "punkt"):
        pytest.importorskip(module)
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    config = LMEvalConfig(
        tasks=TASKS,
        engine="transformers",
        dtype="float32",
        data_dir=str(root / "data"),
        apply_chat_template=True,
        perplexity=False,
        prompts=(),
        limit=6,
        code=CodeConfig(samples=2, k=(1, 2)),
        judge=JudgeConfig(url=judged, model="two"),
    )
    output = root / "output"
    output.mkdir()
    made = LMEval(config).run(Job(name="eval", output=output, inputs={"model": root / "model"}, seed=0))
    rows = {(row["task"], row["metric"]): row for row in made["eval"]}
    assert rows["smollm2_humaneval", "pass@1"]["value"] == rows["smollm2_humaneval", "pass@2"]["value"] == 0
    assert rows["smollm2_mt_bench", "score"]["value"] == 2
    assert rows["smollm2_mt_bench", "judged"]["value"] == 1
    assert 0 <= rows["smollm2_ifeval", "inst_level_loose_acc"]["value"] <= 1
    grid = rows["smallwright_niah", "exact_match"]["grid"]
    assert [cell[:2] for cell in grid["cells"]] == [*([256, depth] for depth in (0, 25, 50, 75, 100)), [512, 0]]
    items = {item["task"]: item for item in core.samples.read(core.samples.file_of(output))}
    assert len(items["smollm2_humaneval"]["answers"]) == 2
    assert items["smollm2_humaneval"]["extracted"][0].startswith("[failed")
    assert items["smollm2_mt_bench"]["extracted"][0] == "2: Rating: [[2]]"
    assert len(items["smollm2_mt_bench"]["answers"]) == 2
    assert items["smallwright_niah"]["subject"] == "512 tokens, depth 0 %"
    assert "sesame" not in "".join(path.read_text(errors="ignore") for path in output.rglob("*.json*"))
