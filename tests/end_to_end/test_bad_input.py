"""What a user can get wrong, given to the real commands with every plugin: one clear line, the right exit code."""

import contextlib
import io
import json
import random
import subprocess
import sys

import core.plan
import core.run
import pytest

RECIPE = [
    "+data=finemath",
    "data.source.scale=0.05",
    "executor.workers=1",
    *(f"~data.steps.{label}" for label in ("label_first", "classifier_first", "domain_recall", "label", "classifier")),
    "~data.steps.threshold",
]
"""A corpus in seconds: without the steps that learn from labels."""
OWN_FILES = [override for override in RECIPE if not override.startswith("data.source")]
"""The same over files of one's own, where nothing makes a source's."""


def call(folder, *arguments):
    command = [sys.executable, "-m", "core.run", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def refused(folder, *arguments, module=core.run):
    """Call a command that refuses its settings in this process, for it starts no other."""
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        code = module.main(arguments)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def only_error(ended, code):
    """Return the one line of error, after checking that there is no other and no traceback."""
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    (error,) = (line for line in ended.stderr.splitlines() if line.startswith("error: "))
    return error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+arch=shared_fn", "+data=finemath"], "Did you mean 'shared_ffn'?"),
        (["+data=finemat"], "Did you mean 'finemath'?"),
        (["+data=finemath", "data.scorer=rule"], "Did you mean 'rules'? Installed: llm, rules."),
        (["+data=finemath", "+arch=gqa", "+posttrain=[sft,dpp]"], "Did you mean 'dpo'?"),
        (["+data=finemath", "eval=smolm2_base"], "Did you mean 'smollm2_base'?"),
        (["+data=finemath", "+arch=[gqa,shared_ffn]"], "one option of arch a run"),
        (["+data=finemath", "+arch=gqa", "arch.size=nanno"], "arch.size=nanno: unknown size. Did you mean 'nano'?"),
        (
            ["+data=finemath", "+arch=gqa", "arch.hiden_size=8"],
            "arch.hiden_size: unknown key. Did you mean 'hidden_size'?",
        ),
        (
            ["+data=finemath", "data.steps.minhash.band=2"],
            "data.steps.minhash.band: unknown key. Did you mean 'bands'?",
        ),
        (["+data=finemath", "data.steps.minhahs.bands=2"], "Did you mean 'minhash'?"),
        (["+data=finemath", "sed=1"], "sed: unknown key. Did you mean 'seed'?"),
        (["+data=finemath", "seed=one"], "seed='one': expected int"),
        (["+data=finemath", "executor.workers=0"], "workers=0: must be at least 1, or -1"),
        (["+data=finemath", "data.scorer=llm"], "data.scorer.model=<hub id or path>"),
        (["+data=finemath", "data.paths=[nowhere.warc.gz]"], "data.paths: no file matches nowhere.warc.gz"),
        (["+data=finemath", "data.paths=[.]"], "name its files: ./*"),
        (["+data=finemath", "run_dir=/proc/nowhere"], "give another run_dir=<dir>"),
        (["+arch=gqa"], "add +data=<recipe>"),
        (["finemath"], "Write +data=finemath"),
        (["+data=finemath", "data.scorer.sample=0"], "data.scorer.sample=0: must be at least 1"),
        (["+data=finemath", "data.classifier.regularization=nan"], "data.classifier.regularization=nan: must be a fin"),
        (
            ["+data=finemath", "data.steps.minhash.bands=1000000000"],
            "data.steps.minhash.bands=1000000000: must be",
        ),
        (["+data=finemath", "~data.steps.read"], "without it nothing is read"),
        (["+data=finemath", "data.steps.read.url_files=[/no]"], "data.steps.read.url_files=/no: no such file"),
        (["+data=finemath", "data.steps.url_filter.domain_files=[./no]"], "domain_files=./no: no such file"),
        (["+data=finemath", "data.scorer.domain=code"], "data.scorer.domain: changes nothing"),
        (["+data=finemath", "seed=-1"], "seed=-1: must be from 0 to 4294967295"),
        (["+data=finemath", "+arch=gqa", "+posttrain=sft", "posttrain.sft.dataset=/no.jsonl"], "posttrain.sft.dataset"),
        *(
            (["+data=finemath", f"+arch={arch}", "arch.num_attention_heads=5"], "num_attention_heads=5: must divide")
            for arch in ("gqa", "shared_ffn", "inherited_init")
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(arguments, words, tmp_path):
    ended = refused(tmp_path, *arguments)
    assert words in only_error(ended, code=2)
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_plan_refuses_what_a_run_refuses(tmp_path):
    arguments = ["+data=finemath", "+arch=gqa", "arch.size=nanno"]
    planned = refused(tmp_path, *arguments, module=core.plan)
    assert planned.stderr == refused(tmp_path, *arguments).stderr == call(tmp_path, *arguments).stderr != ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose store holds the small corpus."""
    folder = tmp_path_factory.mktemp("bad_input")
    ended = call(folder, *RECIPE, "run_dir=good")
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.slow
def test_files_that_are_no_archives_are_counted_and_named(folder):
    (folder / "text.warc.gz").write_text("this is no archive\n")
    (folder / "empty.warc.gz").write_bytes(b"")
    (folder / "noise.warc.gz").write_bytes(random.Random(0).randbytes(5000))
    ended = call(folder, *OWN_FILES, "data.paths=[text.warc.gz,empty.warc.gz,noise.warc.gz]", "run_dir=nothing")
    error = only_error(ended, code=1)
    assert "no document is left after step 'read' (3 in: " in error
    assert "1 empty file" in error
    funnel = json.loads((folder / "nothing" / "report.json").read_text())["funnel"]
    assert (funnel[0]["in"], sum(funnel[0]["failed"].values())) == (3, 3)


@pytest.mark.slow
def test_a_truncated_file_gives_what_can_be_read(folder):
    whole = max((folder / "store" / "crawl").glob("*/files/*.warc.gz"), key=lambda path: path.stat().st_size)
    content = whole.read_bytes()
    (folder / "cut.warc.gz").write_bytes(content[: len(content) // 2])
    ended = call(folder, *OWN_FILES, "data.paths=[cut.warc.gz]", "run_dir=cut")
    assert ended.returncode == 0, ended.stderr
    funnel = json.loads((folder / "cut" / "report.json").read_text())["funnel"]
    assert sum(funnel[0]["failed"].values()) >= 1
    for step in funnel:
        assert step["in"] == step["kept"] + sum(step["rejected"].values()) + sum(step["failed"].values())


@pytest.mark.slow
def test_a_step_that_keeps_nothing_is_named(folder):
    ended = call(folder, *RECIPE, "data.steps.language.languages=[ja]", "run_dir=empty")
    error = only_error(ended, code=1)
    assert "no document is left after step 'language'" in error
    assert "Loosen data.steps.language" in error


@pytest.mark.slow
def test_a_vocabulary_larger_than_the_corpus_names_the_one_it_gives(folder):
    ended = call(folder, *RECIPE, "+arch=gqa", "tokenizer.vocab_size=100000", "run_dir=vocabulary")
    error = only_error(ended, code=1)
    assert "stage tokenizer failed: tokenizer.vocab_size=100000" in error
    assert "Set tokenizer.vocab_size=" in error
    report = json.loads((folder / "vocabulary" / "report.json").read_text())
    assert [row["status"] for row in report["stages"]] == ["reused", "reused", "failed", *["not started"] * 3]
    assert report["funnel"][-1]["kept"] > 0


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a file system of a size at a folder, and the folder."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        except OSError as error:
            pytest.skip(f"cannot mount a small disk: {error}")
        if ended.returncode != 0:
            pytest.skip(f"cannot mount a small disk: {ended.stderr.strip()}")

    yield disk, mount
    subprocess.run(["umount", str(disk)], capture_output=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("report_too", [False, True])
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_space(report_too, small_disk, tmp_path):
    disk, mount = small_disk
    mount("size=300k")
    arguments = [*RECIPE, f"store={disk}/store", f"run_dir={disk if report_too else tmp_path}/run"]
    ended = call(tmp_path, *arguments)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert lines
    assert all("is full: free space and start again" in line for line in lines), ended.stderr
    mount("remount,size=16m")
    assert call(tmp_path, *arguments).returncode == 0


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_named(small_disk, tmp_path):
    disk, mount = small_disk
    mount("ro")
    ended = call(tmp_path, *RECIPE, f"store={disk}/store", "run_dir=run")
    assert f"{disk}/store cannot be written: Read-only file system" in only_error(ended, code=1)
    ended = call(tmp_path, *RECIPE, f"run_dir={disk}/run")
    assert "give another run_dir=<dir>" in only_error(ended, code=2)


@pytest.mark.slow
def test_a_reader_of_the_output_that_leaves_is_no_traceback(folder):
    command = [sys.executable, "-m", "core.run", *RECIPE, "run_dir=left"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=120) == 1
    assert errors == ""
