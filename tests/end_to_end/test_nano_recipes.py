"""The published recipes at nano scale, as one sweep: their stages, mixtures and checkpoints on built-in corpora.

They share a tokenizer, which each would train anew on its own corpora.
"""

import json
import os
import subprocess
import sys

import pytest
from smallwright_testing.models import tiny_model

pytestmark = pytest.mark.slow

RECIPES = (
    "smollm2_1_7b",
    "smollm2_context_extension",
    "smollm2_135m",  # smollm2_360m is the same at this scale
    "amber",
    "mobillama_0_5b",  # mobillama_0_8b is the same at this scale
    "pangu_pi_pro_1b",
    "finemath_ablation",
    "l20_edu_135m",
)
SMALL = ["pretrain.steps=12", "pretrain.validation_sequences=1", "pretrain.verify_vllm=false", "executor.workers=1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The report of each recipe's run, by its name."""
    folder = tmp_path_factory.mktemp("recipes")
    tokenizer = tiny_model(folder) / "hf"
    sweep = [f"+experiment={','.join(RECIPES)}", "+scale=nano", f"tokenizer={tokenizer}", "~eval", *SMALL]
    done = subprocess.run(
        [sys.executable, "-m", "core.run", "-m", *sweep, "run_dir=sweep"],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = json.loads((folder / "sweep" / "sweep.json").read_text())["runs"]
    return {
        row["values"]["experiment"]: json.loads((folder / "sweep" / row["directory"] / "report.json").read_text())
        for row in rows
    }


def test_every_recipe_trains(runs):
    assert set(runs) == set(RECIPES)
    for name, report in runs.items():
        assert report["pretrain"]["validation_loss"] > 0, name


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_realised_mixture_is_the_declared_one(runs, recipe):
    """Within a sequence of each stage, of which a run of 12 batches has few."""
    for stage in runs[recipe]["pretrain"]["mixture"]["stages"]:
        sequences = stage["tokens"] / stage["seq_len"]
        for name, row in stage["sources"].items():
            if row["declared"] is not None:
                assert abs(row["realised"] - row["declared"]) * sequences <= 1 + 1e-6, (stage["name"], name)
