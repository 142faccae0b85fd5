"""``core.plan`` with the real plugins: published shares, shapes that can be trained, what is refused before work."""

import contextlib
import io
import json
import re
import subprocess

import core.plan
import pytest
from core import discovery
from core.errors import ConfigError
from core.sweep import single

OPEN = ["+arch=gqa", "arch.size=null", "+data=finemath"]


def call(folder, *arguments):
    """Call the command in this process; ``test_light_commands.py`` has it as one of its own."""
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        code = core.plan.main(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def plan(folder, *arguments):
    done = call(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("vocab", "layers", "embeddings", "stored", "published"),
    # PanGu-pi Pro (arXiv 2402.02791), tokenizer compression: 38.19 % with 100,883 entries, 18.07 % with 48,000.
    [(100_883, 15, 361_564_672, 946_529_024, 38.19), (48_000, 20, 172_032_000, 951_983_872, 18.07)],
)
def test_the_embedding_share_of_pangu_pi_pro(vocab, layers, embeddings, stored, published, tmp_path):
    shape = [f"arch.vocab_size={vocab}", f"arch.num_hidden_layers={layers}", "arch.hidden_size=1792"]
    shape += ["arch.intermediate_size=4864", "arch.num_attention_heads=14", "arch.num_key_value_heads=14"]
    planned = plan(tmp_path, *OPEN, *shape, "arch.tie_word_embeddings=false")
    assert (planned["embedding_parameters"], planned["stored_parameters"]) == (embeddings, stored)
    assert 100 * planned["embedding_share"] == pytest.approx(published, abs=0.01)


@pytest.mark.slow
def test_local_layers_keep_their_window_in_the_cache(tmp_path):
    shape = ["arch.hidden_size=64", "arch.intermediate_size=96", "arch.num_hidden_layers=6"]
    shape += ["arch.num_attention_heads=2", "arch.num_key_value_heads=2", "arch.max_position_embeddings=1000"]
    whole = plan(tmp_path, *OPEN, *shape)["kv_cache"]
    value = 2 * 2 * 32 * 2  # keys and values of two heads of 32, in two bytes
    assert whole == {"bytes_per_token": 6 * value, "context": 1000, "bytes_at_context": 6 * 1000 * value}
    local = plan(tmp_path, *OPEN, *shape, "arch.sliding_window=100", "arch.global_interval=3")["kv_cache"]
    assert local["bytes_at_context"] == (2 * 1000 + 4 * 100) * value


def test_a_shared_feed_forward_is_trained_by_what_it_stores(tmp_path):
    planned = plan(tmp_path, "+arch=shared_ffn", "arch.size=mobillama-0.5b", "+data=finemath")
    scaling = planned["scaling"]
    assert scaling["tokens_per_parameter"] == planned["tokens"] / 534_865_920
    assert scaling["tokens_per_executed_parameter"] == planned["tokens"] / 1_195_900_928
    assert scaling["optimal_tokens"].keys() == {"printed", "TeX", "re-fit"}


@pytest.mark.slow
def test_other_hardware_shards_the_states(tmp_path):
    arguments = ["+arch=gqa", "arch.size=smollm2-135m", "+data=finemath", "pretrain.global_batch_size=16"]
    planned = plan(tmp_path, *arguments, "--device", "h100", "--devices", "1,8")
    one, eight = planned["hardware"]
    assert (one["devices"], eight["devices"]) == (1, 8)
    assert one["memory_bytes"] > 4 * eight["memory_bytes"]
    assert one["hours"] == pytest.approx(8 * eight["hours"])
    assert one["money"] == pytest.approx(eight["money"])
    assert one["float32_on_gpu"], "the default precision is no GPU's peak"
    assert "add +hardware=gpu" in call(tmp_path, *arguments, "--device", "h100").stdout
    refused = call(tmp_path, *arguments, "--device", "h100", "--devices", "17")
    assert refused.stderr.startswith("error: --devices 17: pretrain.global_batch_size=16: fewer sequences than ranks ")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["gqa", "shared_ffn"])
def test_every_shape_of_a_grid_can_be_planned_as_it_is_printed(arch, tmp_path):
    wanted = ["--budget", "20e6", "--vocab", "8000", "--width", "192-512", "--depth", "4-16", "--samples", "3"]
    options = ["--grid", "--arch", arch, *wanted, "--head-dim", "64", "--width-multiple", "64"]
    grid = plan(tmp_path, *options, "arch.max_position_embeddings=512")
    assert len(grid["rows"]) == 3
    for row in grid["rows"]:
        assert abs(row["parameters"] - 20e6) <= 0.02 * 20e6
        planned = plan(tmp_path, *row["overrides"], "+data=finemath")
        assert planned["stored_parameters"] == row["parameters"]
        assert planned["embedding_share"] == row["embedding_share"]
        assert planned["kv_cache"]["context"] == 512, "other settings are repeated"
    printed = call(tmp_path, *options, "arch.max_position_embeddings=512").stdout
    assert " ".join(grid["rows"][0]["overrides"]) in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.steps.decontaminate.against=[no_such]"], "data.steps.decontaminate.against=no_such: no installed"),
        (["data.steps.decontaminate.against=[nobody:x.jsonl]"], "against=nobody:x.jsonl: no package 'nobody'"),
        (["data.steps.language.languages=[enn]"], "data.steps.language.languages: 'enn' is unknown to resiliparse."),
        (["data.steps.language.backend=fasttext", "data.steps.language.model=lid.176.bin"], "no such file"),
        (["data.steps.classifier.pretrained=/nowhere"], "data.steps.classifier.pretrained=/nowhere: no such file"),
        (["data.classifier=fasttext", "data.classifier.pretrained=dclm.bin"], "pretrained=dclm.bin: no such file"),
        (["data.classifier=encoder", "data.classifier.encoder=./e5"], "encoder=./e5: no such file or folder"),
        (["data.scorer=llm", "data.scorer.model=/models/llama"], "model=/models/llama: no such file or folder"),
        (["data.steps.statistics.tokenizer=/nowhere"], "data.steps.statistics.tokenizer=/nowhere: no such file"),
        (["data.steps.url_filter.url_files=[list.txt]"], "data.steps.url_filter.url_files: no such file: list.txt"),
    ],
)
def test_what_would_end_the_run_is_refused_while_planning(overrides, message, tmp_path):
    done = call(tmp_path, "+data=finemath", *overrides)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_servers_model_is_the_servers_to_know(tmp_path):
    server = ["data.scorer.backend=server", "data.scorer.base_url=http://localhost:1/v1"]
    assert plan(tmp_path, "+data=finemath", "data.scorer=llm", "data.scorer.model=/models/llama", *server)


def trained(folder, *overrides):
    """Return the stage that trains, as the graph has it."""
    with contextlib.chdir(folder):
        run = single.composed(["+arch=gqa", "+data=finemath", *overrides], discovery.load([]), check=False)
    return next(spec for spec in run.stages if spec.name == "pretrain")


@pytest.mark.slow
def test_evaluations_on_the_way_are_the_runs_own_in_a_light_form_and_change_no_identity(tmp_path):
    plain = trained(tmp_path)
    assert plain.evaluator is None
    spec = trained(tmp_path, "eval=mobillama", "pretrain.eval_every=50", "pretrain.eval={tasks: [piqa], limit: 3}")
    assert spec.digest == plain.digest
    config = spec.evaluator.config
    assert (config.tasks, config.limit, list(config.fewshot_by_task)) == (("piqa",), 3, ["piqa"])
    assert (config.engine, config.perplexity, config.prompts) == ("transformers", False, ())
    own = trained(tmp_path, "eval.engine=vllm", "pretrain.eval_every=50", "pretrain.eval.perplexity=true")
    assert (own.evaluator.config.engine, own.evaluator.config.perplexity) == ("vllm", True)
    notes = plan(tmp_path, "+arch=gqa", "+data=finemath", "pretrain.eval_every=50")["estimate"]["notes"]
    assert any(note.startswith("5 evaluations on the way, at most") for note in notes)


@pytest.mark.parametrize("key", ["eval", "pretrain.eval"])
def test_a_task_that_nothing_has_is_said_of_the_key_that_names_it(key, tmp_path):
    with pytest.raises(ConfigError, match=rf"^{re.escape(key)}\.tasks: unknown task"):
        trained(tmp_path, "pretrain.eval_every=50", f"{key}.tasks=[nope]")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pretrain.eval_every=50", "~eval"], "pretrain.eval_every: this run evaluates nothing (~eval). Choose eval="),
        (["pretrain.eval_every=50", "pretrain.eval.lmit=3"], "pretrain.eval.lmit: unknown key. Did you mean 'limit'?"),
        (["pretrain.eval_every=500"], "pretrain.eval_every=500: there are 260 steps"),
    ],
)
def test_evaluations_on_the_way_that_cannot_be_done_are_refused(overrides, message, tmp_path):
    done = call(tmp_path, "+arch=gqa", "+data=finemath", *overrides)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
