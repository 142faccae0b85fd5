"""Planning, listing and refusing load no engine, with every plugin installed: that is why they answer at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ENGINES = ("torch", "transformers", "vllm", "datasets", "torchtitan", "trl", "lm_eval", "datatrove")
HEAVY = (*ENGINES, "pandas", "pyarrow", "scipy")
WATCH = """
import importlib, sys
sys.argv = sys.argv[1:]
code = importlib.import_module(sys.argv[0]).main()
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "arguments", "code"),
    [
        ("core.plugins", [], 0),
        ("core.study.__main__", [], 0),
        ("core.plan", ["+arch=gqa", "+data=finemath"], 0),
        ("core.plan", ["+arch=shared_ffn", "+data=finemath", "+posttrain=[sft,dpo]"], 0),
        ("core.plan", ["+arch=inherited_init", "+data=finemath"], 0),
        ("core.run", ["+arch=gqa", "+data=finemath", "--config"], 0),
        ("core.run", ["+arch=gqa", "arch.size=nanno", "+data=finemath"], 2),
        ("core.chat", ["nothing", "temperature=0.5"], 2),
        ("core.run", ["+arch=gqa", "+data=finemath", "data.steps.minhash.bandz=1"], 2),
    ],
)
def test_no_engine_is_loaded(module, arguments, code, tmp_path):
    command = [sys.executable, "-c", WATCH, module, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    loaded = next(line for line in ended.stderr.splitlines() if line.startswith("loaded:")).split()
    assert "core" in loaded
    assert not {*HEAVY} & {*loaded}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "parameters", "tokens"),
    [("smollm2_135m", 134_515_008, 2_097_152_000_000), ("mobillama_0_5b", 534_865_920, 1_259_131_699_200)],
)
def test_experiments_plan_the_published_sizes(experiment, parameters, tokens):
    done = subprocess.run(
        [sys.executable, "-m", "core.plan", f"+experiment={experiment}", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    planned = json.loads(done.stdout)
    assert (planned["stored_parameters"], planned["tokens"]) == (parameters, tokens)
