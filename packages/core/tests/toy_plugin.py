"""A plugin in one file whose stages are plain Python: it lets core be tested without any engine.

It is loaded with ``--plugin``, as a user's own file would be. Its configs come from a folder ``hydra_conf`` that the
tests write.
"""

import dataclasses
import json
import os
import signal
import time

from core.data.steps import CorpusStep, DocumentStep, Phase, Rejection, Step
from core.errors import InputError
from core.hooks import hookimpl
from core.interfaces import Architecture
from core.typed import setting
from datatrove.data import Document

PLUGIN_API_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinesConfig:
    files: int = 3
    lines: int = 20


class Lines:
    """Source: text files of numbered lines."""

    def __init__(self, config):
        self.config = config

    def run(self, job):
        (job.output / "files").mkdir(exist_ok=True)
        for number in range(self.config.files):
            lines = [f"file {number} line {i} number {i % 7}" for i in range(self.config.lines)]
            (job.output / "files" / f"{number}.txt").write_text("\n".join(lines))
        return {"files": self.config.files}


class ReadLines(Step):
    """One document a line; an empty line is rejected."""

    def process(self, documents, rank, world_size):
        for path in self.context.files[rank::world_size]:
            with open(path) as file:
                for i, line in enumerate(file.read().split("\n")):
                    self.receive()
                    document = Document(
                        text=line, id=f"{os.path.basename(path)}:{i}", metadata={"url": f"file://{path}"}
                    )
                    if line:
                        yield document
                    else:
                        self.reject(document, "empty")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DropConfig:
    word: str = "number 3"
    fail_on: str = "line 5 "
    die_once: str = ""
    against: tuple[str, ...] = setting((), files=True)


class Drop(DocumentStep):
    def process_document(self, document):
        if self.config.die_once and not os.path.exists(self.config.die_once):
            open(self.config.die_once, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.config.fail_on in document.text:
            raise RuntimeError("cannot look at line 5")
        if self.config.word in document.text:
            raise Rejection("the word")
        document.metadata["score"] = float(len(document.text) % 5)
        return document


class KeepFirst(CorpusStep):
    """Keep the first document of each number, over the whole corpus."""

    def phases(self, corpus, work):
        return [Phase(name="collect", pipeline=[Collect(corpus, work)], tasks=1)]

    def pass_step(self, work):
        return ApplyKeep(work)


class Refuse(CorpusStep):
    """A whole-corpus step that cannot do its work."""

    def phases(self, corpus, work):
        raise InputError("not today")

    def pass_step(self, work): ...


class Collect(Step):
    def __init__(self, corpus, work):
        super().__init__(None)
        self.corpus, self.work = corpus, work

    def process(self, documents, rank, world_size):
        from core.data.documents import read_documents

        first = {}
        for path in sorted(self.corpus.glob("*.parquet")):
            for document in read_documents(path):
                first.setdefault(document.text.rsplit(" ", 1)[-1], document.id)
        (self.work / "keep.json").write_text(json.dumps(sorted(first.values())))
        yield from ()


class ApplyKeep(Step):
    def __init__(self, work):
        super().__init__(None)
        self.work = work

    def process(self, documents, rank, world_size):
        keep = set(json.loads((self.work / "keep.json").read_text()))
        for document in documents:
            if document.id in keep:
                yield document
            else:
                self.reject(document, "seen before")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TinyConfig:
    SIZES = {"nano": {"hidden_size": 4}, "wide": {"hidden_size": 8}}
    size: str | None = None
    hidden_size: int
    vocab_size: int

    def __post_init__(self):
        if self.hidden_size % 2:
            raise ValueError(f"hidden_size={self.hidden_size} must be even")
        if self.vocab_size >= 2**31:
            raise ValueError(f"vocab_size={self.vocab_size}: must be at most 2147483647.")


class Tiny(Architecture):
    def parameters(self):
        return self.config.hidden_size * self.config.vocab_size

    executed_parameters = parameters

    def attention_width(self):
        return 0

    def hf_config(self): ...

    def hf_model_class(self): ...

    def titan_config(self, *, inner_attention, seq_len): ...

    def state_dict_adapter(self): ...

    def vllm_architecture(self):
        return "Tiny"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkConfig:
    path: str | None = None
    vocab_size: int = 10
    steps: int = 5
    workers: int = setting(1, identity=False)
    kill_at: int = setting(-1, identity=False)
    fail: str = setting("", identity=False)


class Work:
    """Tokenizer, packer, trainer and evaluator: counts its steps in a file, and goes on where it stopped."""

    def __init__(self, config):
        self.config = config

    def vocab_size(self):
        return self.config.vocab_size

    def plan(self, architecture):
        return {"tokens": self.config.steps * 100, "seq_len": 16, "memory_bytes": 16 * architecture.parameters()}

    def environment(self):
        return {"TOY_ENVIRONMENT": "set"}

    def run(self, job):
        if self.config.fail == "user":
            raise InputError("the input is bad: give another.")
        if self.config.fail == "bug":
            raise KeyError("a mistake of ours")
        counter = job.output / "steps.txt"
        for step in range(len(counter.read_text().split()) if counter.exists() else 0, self.config.steps):
            with open(counter, "a") as file:
                file.write(f"{step}\n")
            job.progress(step + 1, self.config.steps, "steps")
            if step == self.config.kill_at and not (job.output / "killed").exists():
                (job.output / "killed").write_text("once")
                os.kill(os.getppid() if os.environ.get("TOY_KILL_PARENT") else os.getpid(), signal.SIGKILL)
                time.sleep(30)
        return {
            "stored_parameters": job.architecture.parameters() if job.architecture else 0,
            "executed_parameters": 0, "tokens": self.config.steps * 100, "tokens_per_second": 1.0,
            "loss_curve": [[1, 3.0], [2, 2.0]], "validation_loss": 2.0, "unigram_loss": 3.0,
            "engine": {"name": "toy", "version": "1"}, "environment": os.environ.get("TOY_ENVIRONMENT"),
        }  # fmt: skip


class Judge(Work):
    def run(self, job):
        super().run(job)
        row = {"task": "toy", "metric": "acc", "value": 0.5, "stderr": 0.1, "n": 25, "chance": 0.25}
        return {"eval": [{**row, "engine": {"name": "toy", "version": "1"}}]}


@hookimpl
def register_sources(register):
    register("lines", "toy_plugin:Lines", config="toy_plugin:LinesConfig")


@hookimpl
def register_steps(register):
    register("read_lines", "toy_plugin:ReadLines")
    register("drop", "toy_plugin:Drop", config="toy_plugin:DropConfig")
    register("keep_first", "toy_plugin:KeepFirst")
    register("refuse", "toy_plugin:Refuse")
    register("lambda_filter", "datatrove.pipeline.filters:LambdaFilter")


@hookimpl
def register_architectures(register):
    register("tiny", "toy_plugin:Tiny", config="toy_plugin:TinyConfig")


@hookimpl
def register_tokenizers(register):
    register("count", "toy_plugin:Work", config="toy_plugin:WorkConfig")


@hookimpl
def register_packers(register):
    register("count", "toy_plugin:Work", config="toy_plugin:WorkConfig")


@hookimpl
def register_trainers(register):
    register("count", "toy_plugin:Work", config="toy_plugin:WorkConfig")


@hookimpl
def register_posttrainers(register):
    register("polish", "toy_plugin:Work", config="toy_plugin:WorkConfig")


@hookimpl
def register_evaluators(register):
    register("judge", "toy_plugin:Judge", config="toy_plugin:WorkConfig")


@hookimpl
def run_started(run):
    (run.directory / "observed.txt").write_text(f"started {run.name}\n")


@hookimpl
def stage_finished(run, stage):
    with open(run.directory / "observed.txt", "a") as file:
        file.write(f"{stage.name} {stage.status}\n")


@hookimpl
def run_finished(run):
    with open(run.directory / "observed.txt", "a") as file:
        file.write("finished\n")
