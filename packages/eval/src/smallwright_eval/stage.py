"""The evaluation stage: lm-eval's ``simple_evaluate`` and held-out perplexity, on one engine, in one process.

lm-eval and the engines are imported inside functions: planning imports this module.
"""

import dataclasses
import importlib.metadata
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import contamination
from core import samples as sample_files
from core.engines import check_torchvision, importing, set_missing, vllm_distribution
from core.errors import ConfigError, InputError
from core.interfaces import Architecture, Job, RemoteData, Stage, Tokenizer
from core.served import check_head_width
from core.writing import write_json, write_text

from smallwright_eval import (
    answers,
    choosing,
    engines,
    heldout,
    kept,
    local_tasks,
    memory,
    needs,
    parity,
    reading,
    results,
    samples,
    task_names,
)
from smallwright_eval.config import LMEvalConfig
from smallwright_eval.verdicts import taking


class LMEval(Stage):
    """Evaluate the ``model`` input on tasks, and on the validation documents of the run's tokens.

    Leaves ``results.json`` (the summary), ``samples.parquet`` (a row per item, see :mod:`core.samples`) and
    ``answers.jsonl`` (what it says to the prompts). Each task's answers are kept as they come: a stage that was killed,
    or whose judge was down, asks only what is left.
    """

    config: LMEvalConfig

    def environment(self) -> dict[str, str]:
        """Return variables that must be set before vLLM and the Hugging Face libraries are imported."""
        return engines.environment(self.config)

    def check_plan(self, where: str, architecture: Architecture, tokenizer: Tokenizer) -> None:
        """Refuse tasks that cannot be asked, and a width, a length or a template that the model will not have.

        Raises:
            core.errors.UserError: naming the setting.
        """
        config = self.config
        check_torchvision()
        if config.engine == "vllm":
            engines.installed_vllm()
            check_head_width(architecture, f"{where}.engine=vllm", f"{where}.engine=transformers")
        if config.parity:
            if vllm_distribution() is None:
                raise ConfigError(f"{where}.parity=true: asks vLLM too, which is not installed. Leave it out.")
            check_head_width(architecture, f"{where}.parity=true", f"{where}.parity=false")
        engines.check_length(config, architecture.context(), where)
        if config.apply_chat_template and tokenizer.chat_template() == "":
            raise ConfigError(
                f"{where}.apply_chat_template=true: the model's tokenizer has no chat template. Set it to false, or "
                "give the tokenizer one."
            )
        answers.prompts(config, where)
        local_tasks.check(config, where)
        needs.check_lengths(local_tasks.asked(config, where), config.max_model_len or architecture.context(), where)

    @classmethod
    def on_the_way(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Leave the tasks alone: the trainer measures held-out text itself, and nobody reads so many answers.

        Transformers starts in a fraction of vLLM's time, binds no cores and reserves no memory of a GPU.
        """
        engine = {"engine": "transformers"} if given.get("engine", "auto") == "auto" else {}
        held_out = {"perplexity": False} if given.get("tasks") != [] else {}
        return {**engine, **held_out, "prompts": (), "prompts_file": None}

    def fetches(self, where: str) -> list[RemoteData]:
        """Return the data sets that the tasks read."""
        return local_tasks.remote(self.config, where)

    def shares_process(self, job: Job) -> str | None:
        """Return what its engine is: the next evaluation of the same model can use it."""
        return kept.key(self.config, job)

    def run(self, job: Job) -> dict[str, Any]:
        """Evaluate and return ``eval`` (rows), ``perplexity``, ``engine``, ``harness``, ``parity`` and ``seconds``.
        Where a judge did not answer also ``partial``, a line for each task that lacks ratings.

        A row is what :func:`smallwright_eval.results.rows_of` says, with ``engine``
        (:func:`smallwright_eval.engines.describe`), ``harness`` ({name, version}) and ``contamination``
        (:func:`core.contamination.of_task`; None of held-out text).

        Raises:
            core.errors.UserError: an unknown task, a wrong task file, no model, an engine that is not installed.
        """
        set_missing(self.environment())
        return _Evaluation(self.config, job).run()


class _Evaluation:
    """One run of the stage; the engine starts when the first unfinished part needs it."""

    def __init__(self, config: LMEvalConfig, job: Job) -> None:
        self.config, self.job = config, job
        if "model" not in job.inputs:
            raise InputError("eval: no model to evaluate. Add +arch=<architecture>, or give a model.")
        self.model = engines.model_directory(job.inputs["model"])
        self.harness = {"name": "lm_eval", "version": importlib.metadata.version("lm_eval")}
        self.work = job.scratch(config.engine)
        self.held_out: list[heldout.HeldOut] = []
        if config.perplexity and (tokens := job.tokens()):
            self.held_out = heldout.load(tokens, config.perplexity_tokens)
        self.parts = [*config.tasks, *([heldout.TASK] if self.held_out else [])]
        if not self.parts:
            raise InputError("eval: tasks=[] and no validation tokens among the inputs: nothing to evaluate.")
        self.prompts = answers.prompts(config)
        self.parts += [answers.PART] if self.prompts else []
        self.parts += [parity.PART] if config.parity and config.tasks else []
        self.lm: Any = None
        self.manager: Any = None
        self.part = 0
        self.sizes: list[int] = []
        """Items of each part, known when the tasks are read."""
        self.compared = 0
        """Items that the other engine answered, too."""
        self.answered = 0

    def run(self) -> dict[str, Any]:
        started = time.monotonic()
        loaded = self._load_tasks()
        self.sizes = self._sizes(loaded)
        engine = self._choose(loaded)
        found = []
        for part, name in enumerate(self.parts):
            self.part = part  # for the bar, which moves while the engine answers
            file = self._file(part)
            if not file.is_file() or json.loads(file.read_text()).get("partial"):
                asked = self._ask(part, name, loaded)
                samples.write(file.with_suffix(".parquet"), asked.pop("samples", ()))
                write_json(file, asked)
            found.append(json.loads(file.read_text()))
        self.job.progress(sum(self.sizes), sum(self.sizes), unit="items")
        samples.join(self.job.output, (self._file(part).with_suffix(".parquet") for part in range(len(self.parts))))
        self._write_lines(answers.FILE, [item for one in found for item in one.get("answers", ())])
        seen = contamination.sources(self.job.inputs["model"])
        summary = {
            "eval": [
                {**row, "engine": engine, "harness": self.harness, "contamination": _contamination(row, seen, loaded)}
                for one in found
                for row in one["rows"]
            ],
            "perplexity": next((one["perplexity"] for one in found if "perplexity" in one), None),
            "engine": engine,
            "harness": self.harness,
            "parity": next((one["parity"] for one in found if "parity" in one), None),
        }
        write_json(self.job.output / "results.json", summary)
        if partial := [line for one in found for line in one.get("partial", ())]:
            summary["partial"] = partial
        if notes := results.notes(summary["eval"], partial):
            summary["notes"] = notes
        return {**summary, "seconds": round(time.monotonic() - started, 2)}

    def _file(self, part: int) -> Path:
        return self.work / f"{part}-{re.sub(r'[^A-Za-z0-9_.-]', '_', self.parts[part])}.json"

    def _sizes(self, loaded: Mapping[str, Mapping[str, Any]]) -> list[int]:
        """Return the items of each part; those that both engines answer count for both, so that the rest is known."""

        def items(name: str, most: int | None = None) -> int:
            counts = [choosing.items_of(task, self.config.limit) for task in loaded[name]["tasks"].values()]
            return sum(count if most is None else min(count, most) for count in counts)

        other = {
            heldout.TASK: sum(len(one.documents) for one in self.held_out),
            answers.PART: 2 * len(self.prompts),
            parity.PART: sum(items(name, self.config.parity_items) for name in self.config.tasks),
        }
        tasks = [items(name) for name in self.config.tasks]
        return [*tasks, *(other[name] for name in self.parts[len(tasks) :])]

    def _choose(self, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Settle the engine, once: an evaluation that goes on stays with the one that it began on."""
        file = self.work / "engine.json"
        if not file.is_file():
            work = choosing.Work()
            for name, one in loaded.items():
                for task in one["tasks"].values():
                    work.add_task(task, self.config.limit, self._shots(name))
            work.add_tokens(sum(len(document) for one in self.held_out for document in one.documents))
            work.add_answers(2 * len(self.prompts), self.config.answer_tokens)
            name, why = choosing.choose(self.config, self.model, work, gpu=engines.has_gpu())
            write_json(file, {"name": name, "why": why})
        chosen = json.loads(file.read_text())
        if self.config.engine == "auto":
            print(f"engine: {chosen['name']}, {chosen['why']}", flush=True)
        self.config = dataclasses.replace(self.config, engine=chosen["name"])
        return {**engines.describe(self.config, self.model), "chosen": chosen["why"]}

    def _shots(self, name: str) -> int | None:
        return (self.config.fewshot_by_task or {}).get(name, self.config.num_fewshot)

    def _write_lines(self, name: str, items: Sequence[Mapping[str, Any]]) -> None:
        write_text(self.job.output / name, "".join(json.dumps(item, sort_keys=True) + "\n" for item in items))

    def _ask(self, part: int, name: str, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if part < len(self.config.tasks):
            return self._ask_task(name, loaded[name])
        if name == parity.PART:
            return self._ask_other_engine(loaded)
        return self._ask_prompts() if name == answers.PART else self._ask_held_out()

    def _load_tasks(self) -> dict[str, Mapping[str, Any]]:
        """Build every task before the engine starts, so that mistakes in their files show within seconds."""
        if not self.config.tasks:
            return {}
        self._report("reading tasks")
        self.manager = local_tasks.task_manager(self.config, self.work)
        loaded = {}
        for name in self.config.tasks:
            try:
                with reading.items_of(name):
                    loaded[name] = self.manager.load([name])
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"eval.tasks: {name} cannot be loaded: {reading.first_line(error)}") from error
            for task in loaded[name]["tasks"].values():
                if getattr(task, "UNSAFE_CODE", False):
                    raise ConfigError(f"eval.tasks: {name} runs code that the model writes, unfenced: refused.")
                with reading.items_of(name):
                    reading.try_first(task)
                reading.say_in_one_line(task, name)
        return loaded

    def _ask_task(self, name: str, loaded: Mapping[str, Any]) -> dict[str, Any]:
        lm = self._started()
        found, answer = self._measure(lm, self.config, name, loaded)
        for task, one in found.items():
            self._warn(lm, task, one.counts())
            results.check_answers(task, loaded["tasks"][task], one.items)
        items = [item for one in found.values() for item in one.items]
        rows = results.rows_of(answer, found, loaded.get("groups") or {})
        taking.add_grids(rows, loaded["tasks"], found)
        return {"rows": rows, "samples": items, "partial": taking.lacking(loaded["tasks"])}

    def _measure(
        self, lm: Any, config: LMEvalConfig, name: str, loaded: Mapping[str, Any]
    ) -> tuple[dict[str, results.Measured], Mapping[str, Any]]:
        """Return the items of each task under a name, and what lm-eval says of them."""
        with importing():
            from lm_eval import evaluator

        _ask_nothing_else(evaluator)

        def ask() -> Mapping[str, Any]:
            lm.seen.forget()
            answer: Mapping[str, Any] = evaluator.simple_evaluate(
                model=lm,
                tasks=list((loaded.get("groups") or loaded["tasks"]).values()),
                # Given because lm-eval would else index its thousands of tasks again.
                task_manager=self.manager,
                num_fewshot=self._shots(name),
                limit=config.limit,
                bootstrap_iters=config.bootstrap_iters,
                apply_chat_template=config.apply_chat_template,
                log_samples=True,
                random_seed=config.seed,
                numpy_random_seed=config.seed,
                torch_random_seed=config.seed,
                fewshot_random_seed=config.seed,
            )
            return answer

        told = self.work / f"{config.engine}-{self.config.tasks.index(name)}.known.jsonl"
        with taking.known(loaded["tasks"].values(), lm, told):
            taking.hand(loaded["tasks"].values(), config, lm)
            answer = memory.asked(lm, config, ask)
        return {
            key: results.measured(key, task, answer, lm.seen, name if loaded.get("groups") else None)
            for key, task in loaded["tasks"].items()
        }, answer

    def _warn(self, lm: Any, task: str, counted: Mapping[str, int]) -> None:
        if counted["cut_items"]:
            print(
                f"{task}: {counted['cut_items']} items are longer than the {lm.max_length} tokens that the model "
                f"reads, and were cut from the left; {counted['lost_fewshots']} few-shot examples were lost",
                flush=True,
            )
        if lm.seen.shortest_answer is not None:
            print(
                f"{task}: answers were bounded by {lm.seen.shortest_answer} tokens, half of what the model reads: the "
                "task allows more than that",
                flush=True,
            )
        if counted["empty_answers"]:
            print(f"{task}: {counted['empty_answers']} answers are empty", flush=True)

    def _ask_other_engine(self, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Ask the first items of each task on the other engine, and compare."""
        config = dataclasses.replace(self.config, engine=parity.other(self.config.engine))
        self._report(f"starting {config.engine}")
        lm = engines.start(config, self.model, self.job.architecture, self._advance)
        first, second = [], []
        for part, name in enumerate(self.config.tasks):
            first += sample_files.read(self._file(part).with_suffix(".parquet"))
            self._report(f"{parity.PART}: {name}")
            asked = max(choosing.items_of(task, self.config.limit) for task in loaded[name]["tasks"].values())
            least = dataclasses.replace(config, limit=max(1, min(asked, self.config.parity_items)))
            found, _ = self._measure(lm, least, name, loaded[name])
            self.compared += sum(len({item["id"] for item in one.items}) for one in found.values())
            second += [item for one in found.values() for item in one.items]
        told = parity.difference(first, second, (self.config.engine, config.engine))
        print(f"parity: {parity.sentence(told)}", flush=True)
        return {"rows": [], "parity": {**told, "other": engines.describe(config, self.model)}}

    def _ask_held_out(self) -> dict[str, Any]:
        lm = self._started()
        vocab_size = json.loads((self.model / "config.json").read_text())["vocab_size"]
        measured, documents = memory.asked(lm, self.config, lambda: heldout.measure(lm, self.held_out, vocab_size))
        return {"rows": heldout.rows(measured, vocab_size), "samples": documents, "perplexity": measured}

    def _ask_prompts(self) -> dict[str, Any]:
        lm = self._started()
        turns = answers.takes_turns(self.config, self.job.inputs["model"], lm.tokenizer)
        return {"rows": [], "answers": answers.ask(lm, self.config, self.prompts, turns)}

    def _started(self) -> Any:
        self.answered = 0
        if self.lm is None:
            self._report(f"starting {self.config.engine}")
            self.lm = kept.start(self.config, self.model, self.job, self._advance)
        self.lm.asked = 0
        self._report(self.parts[self.part])
        return self.lm

    def _advance(self, requests: int) -> None:
        self.answered += requests
        self._report(f"{self.parts[self.part]}: {self.answered} requests")

    def _report(self, note: str) -> None:
        done = sum(self.sizes[: self.part]) + self.compared
        if self.lm is not None and self.lm.asked and self.parts[self.part] != parity.PART:
            done += int(self.sizes[self.part] * min(1.0, self.answered / self.lm.asked))
        self.job.progress(done, sum(self.sizes) or None, unit="items", note=note)


def _ask_nothing_else(evaluator: Any) -> None:
    """Keep lm-eval from noting, for each task anew, what pip, git and the system say: the run's report has its own.

    It starts ten processes for that, which take longer than a small model takes to answer.
    """
    evaluator.add_env_info = lambda storage: None
    evaluator.get_git_commit_hash = lambda: ""


def _contamination(
    row: Mapping[str, Any], seen: Sequence[contamination.Source], loaded: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return whether what trained the model was cleaned of a row's task; None: it is held-out text of that."""
    if row["task"] == heldout.TASK and heldout.TASK not in loaded:
        return None
    return contamination.of_task(seen, task_names.of_row(row["task"], loaded))
