"""``docs/runs.md``: every command in it is planned as it is written, and the stages of its first table are those."""

import contextlib
import importlib
import importlib.util
import io
import json
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from core import compose, discovery, graph, store
from core.entries import FinishedSpec
from core.token_files import tokenizer_digest
from safetensors.numpy import save_file
from smallwright_decoder.weight_shapes import weight_shapes
from smallwright_testing.models import CHATML, SPECIAL
from smallwright_testing.tokens import write_tokens

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "runs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [line.strip() for line in LINES if line.strip().startswith("python -m core.")]
PLANNED = ("core.run", "core.plan")
WEIGHTS = "model.safetensors"
ROWS = [
    (names[0], stages)
    for cells in re.findall(r"^\| (`.*?) \| (.*?) \|$", PAGE.split("## ")[0], re.MULTILINE)
    if (names := re.findall(r"`([^`]+)`", cells[0])) and "..." not in names[0]
    for stages in [cells[1]]
]


def write_model(folder):
    """Write a small Llama with a tokenizer of bytes, as the headers of its files tell it: no engine is needed."""
    config = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
              "num_key_value_heads": 1, "vocab_size": 260, "tie_word_embeddings": True}  # fmt: skip
    described = SimpleNamespace(**config, qkv_bias=False, qk_norm=False, augmented_shortcuts=0, series_activation=1)
    folder.mkdir()
    save_file({name: np.zeros(s, "f4") for name, s in weight_shapes(described, 32, ()).items()}, folder / WEIGHTS)
    special = [{"id": 256 + n, "content": token, "special": True} for n, token in enumerate(SPECIAL)]
    vocabulary = {f"<{n}>": n for n in range(256)}
    files = {
        "config.json": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], **config,
                        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "hidden_act": "silu"},
        "tokenizer.json": {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": special},
        "tokenizer_config.json": {"eos_token": SPECIAL[0], "pad_token": SPECIAL[3]},
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text(CHATML)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A folder with what the commands of the page name: a model, a corpus, tokens that the model's tokenizer made."""
    folder = tmp_path_factory.mktemp("page")
    write_model(folder / "real_model")
    (folder / "corpus").mkdir()
    (folder / "texts.jsonl").write_text('{"text": "one"}\n')
    shutil.copy(folder / "texts.jsonl", folder / "corpus")
    tokenizer = folder / "store/tokenizer/bpe-0"
    tokenizer.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / "real_model" / name, tokenizer)
    tokens = folder / "store/tokens/packed-0"
    write_tokens(tokens, [[1, 2, 256]] * 100, [[3, 256]], vocab_size=260, tokenizer=tokenizer_digest(tokenizer))
    data = folder / "store/data/web-0"
    data.mkdir(parents=True)
    for artifact, inputs in ((data, {}), (tokenizer, {}), (tokens, {"tokenizer": str(tokenizer)})):
        kind = artifact.parent.name
        record = {"stage": kind, "folder": kind, "identity": {"implementation": kind}, "external_files": []}
        store.finish(artifact, {**record, "inputs": inputs})
    with contextlib.chdir(folder):
        yield folder


def there(text):
    """Return a command with names of what is in the folder where the page leaves them open."""
    named = {"corpus=<artifact": "store/data/web-0", "corpus=<folder": "corpus", "tokens=<": "store/tokens/packed-0"}
    named |= {f"{corpus}: <": "store/tokens/packed-0" for corpus in ("web", "code")}
    for key, place in {**named, "=<model": "real_model"}.items():
        text = re.sub(rf"{key}[^>]*>", f"{key.partition('<')[0]}{place}", text)
    return text


def printed(module, arguments):
    spec = importlib.util.find_spec(module)
    module = f"{module}.__main__" if spec.submodule_search_locations else module
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = importlib.import_module(module).main(arguments)
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), errors.getvalue()


def test_the_page_has_commands():
    assert len(COMMANDS) >= 3
    assert len(ROWS) >= 7


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.split()[2] in PLANNED])
def test_a_run_of_the_page_can_be_planned(command, workdir):
    arguments = shlex.split(there(command), comments=True)[3:]
    code, _, errors = printed("core.plan", arguments)
    assert code == 0, errors


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.split()[2] not in PLANNED])
def test_another_command_of_the_page_has_the_flags_that_it_is_given(command):
    _, _, module, *arguments = shlex.split(command, comments=True)
    code, shown, errors = printed(module, ["--help"])
    assert code in (0, None), errors
    for flag in (argument.partition("=")[0] for argument in arguments if argument.startswith("--")):
        assert re.search(rf"{flag}\b", shown), flag


@pytest.mark.parametrize(("written", "stages"), ROWS)
def test_what_is_written_decides_the_stages(written, stages, workdir):
    registry = discovery.load()
    specs = graph.build(compose.compose(shlex.split(there(written)), registry), registry)
    taken = [spec for spec in specs if isinstance(spec, FinishedSpec) or spec.folder in ("model", "crawl")]
    made = [spec.name.partition("-")[0] for spec in specs if spec not in taken]
    if "model=" in written:  # the model's own tokenizer, which is copied
        made = [name for name in made if name != "tokenizer"]
    assert made == [re.sub(r" from the model| as it is", "", stage.strip()) for stage in stages.split(",")]
