"""The evaluation stage: lm-eval's ``simple_evaluate`` and held-out perplexity, on one engine, in one process.

lm-eval and the engines are imported inside functions: planning imports this module.
"""

import importlib.metadata
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.engines import check_torchvision, importing, set_missing
from core.errors import ConfigError, InputError
from core.interfaces import Architecture, Job, Stage, Tokenizer
from core.served import check_head_width
from core.writing import write_json, write_text

from smallwright_eval import answers, cuts, engines, heldout, kept, local_tasks, results
from smallwright_eval.config import LMEvalConfig


class LMEval(Stage):
    """Evaluate the ``model`` input on tasks, and on the validation documents of the run's tokens.

    Leaves ``results.json`` (the summary), ``samples.jsonl`` (one object per item) and ``answers.jsonl`` (what it says
    to the prompts). Each task's answers are kept as they come: a stage that was killed asks only what is left.
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
        engines.check_length(config, architecture.context(), where)
        if config.apply_chat_template and tokenizer.chat_template() == "":
            raise ConfigError(
                f"{where}.apply_chat_template=true: the model's tokenizer has no chat template. Set it to false, or "
                "give the tokenizer one."
            )
        answers.prompts(config, where)
        local_tasks.check(config, where)

    @classmethod
    def on_the_way(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Leave the tasks alone: the trainer measures held-out text itself, and nobody reads so many answers.

        Transformers starts in a fraction of vLLM's time, binds no cores and reserves no memory of a GPU.
        """
        engine = {"engine": "transformers"} if given.get("engine", "auto") == "auto" else {}
        held_out = {"perplexity": False} if given.get("tasks") != [] else {}
        return {**engine, **held_out, "prompts": (), "prompts_file": None}

    def shares_process(self, job: Job) -> str | None:
        """Return what its engine is: the next evaluation of the same model can use it."""
        return kept.key(self.config, job)

    def run(self, job: Job) -> dict[str, Any]:
        """Evaluate and return ``{"eval": rows, "perplexity": {...} | None, "model_parameters", "seconds"}``.

        A row has ``task``, ``metric``, ``value``, ``stderr``, ``n``, ``chance``, ``higher_is_better``,
        ``num_fewshot``, ``cut_items``, ``lost_fewshots``, ``engine`` and ``harness`` ({name, version}).

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
        self.engine = engines.describe(config)
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
        self.lm: Any = None
        self.manager: Any = None
        self.part = 0
        self.answered = self.asked = 0

    def run(self) -> dict[str, Any]:
        started = time.monotonic()
        loaded = self._load_tasks()
        found = []
        for part, name in enumerate(self.parts):
            self.part = part  # for the bar, which moves while the engine answers
            file = self.work / f"{part}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.json"
            if not file.is_file():
                write_json(file, self._ask(part, name, loaded))
            found.append(json.loads(file.read_text()))
        self.job.progress(len(self.parts), len(self.parts), unit="tasks")
        rows = [{**row, "engine": self.engine, "harness": self.harness} for one in found for row in one["rows"]]
        self._write_lines("samples.jsonl", [item for one in found for item in one["samples"]])
        self._write_lines(answers.FILE, [item for one in found for item in one.get("answers", ())])
        summary = {
            "eval": rows,
            "perplexity": next((one["perplexity"] for one in found if "perplexity" in one), None),
            "engine": self.engine,
            "harness": self.harness,
        }
        write_json(self.job.output / "results.json", summary)
        return {**summary, "seconds": round(time.monotonic() - started, 2)}

    def _write_lines(self, name: str, items: Sequence[Mapping[str, Any]]) -> None:
        write_text(self.job.output / name, "".join(json.dumps(item, sort_keys=True) + "\n" for item in items))

    def _ask(self, part: int, name: str, loaded: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if part < len(self.config.tasks):
            return self._ask_task(name, loaded[name])
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
                loaded[name] = self.manager.load([name])
            except Exception as error:
                raise InputError(f"eval.tasks: {name} cannot be loaded: {_first_line(error)}") from error
            for task in loaded[name]["tasks"].values():
                if getattr(task, "UNSAFE_CODE", False):
                    raise ConfigError(f"eval.tasks: {name} runs code that the model writes, unfenced: refused.")
        return loaded

    def _ask_task(self, name: str, loaded: Mapping[str, Any]) -> dict[str, Any]:
        with importing():
            from lm_eval import evaluator

        _ask_nothing_else(evaluator)
        config = self.config
        answer = evaluator.simple_evaluate(
            model=self._started(),
            tasks=list((loaded.get("groups") or loaded["tasks"]).values()),
            # Given because lm-eval would else index its thousands of tasks again.
            task_manager=self.manager,
            num_fewshot=(config.fewshot_by_task or {}).get(name, config.num_fewshot),
            limit=config.limit,
            bootstrap_iters=config.bootstrap_iters,
            apply_chat_template=config.apply_chat_template,
            log_samples=True,
            random_seed=config.seed,
            numpy_random_seed=config.seed,
            torch_random_seed=config.seed,
            fewshot_random_seed=config.seed,
        )
        chances = {key: results.chance_of(task) for key, task in loaded["tasks"].items()}
        cut = {
            key: cuts.count(
                answer["samples"].get(key, []),
                answer.get("n-shot", {}).get(key) or 0,
                task.config.fewshot_delimiter,
                self.lm.lost,
            )
            for key, task in loaded["tasks"].items()
        }
        self._warn_of_cuts(cut)
        return {"rows": results.rows_of(answer, chances, cut), "samples": results.samples_of(answer)}

    def _warn_of_cuts(self, cut: Mapping[str, Mapping[str, int]]) -> None:
        for task, counted in cut.items():
            if counted["cut_items"]:
                print(
                    f"{task}: {counted['cut_items']} items are longer than the {self.lm.max_length} tokens that the "
                    f"model reads, and were cut from the left; {counted['lost_fewshots']} few-shot examples were lost",
                    flush=True,
                )

    def _ask_held_out(self) -> dict[str, Any]:
        lm = self._started()
        vocab_size = json.loads((self.model / "config.json").read_text())["vocab_size"]
        measured, samples = heldout.measure(lm, self.held_out, vocab_size)
        return {"rows": heldout.rows(measured, vocab_size), "samples": samples, "perplexity": measured}

    def _ask_prompts(self) -> dict[str, Any]:
        lm = self._started()
        turns = answers.takes_turns(self.config, self.job.inputs["model"], lm.tokenizer)
        return {"rows": [], "samples": [], "answers": answers.ask(lm, self.config, self.prompts, turns)}

    def _started(self) -> Any:
        self.answered = 0
        if self.lm is None:
            self._report(f"starting {self.engine['name']}")
            self.lm = kept.start(self.config, self.model, self.job, self._advance)
        self._report(self.parts[self.part])
        return self.lm

    def _advance(self, requests: int) -> None:
        self.answered += requests
        self._report(f"{self.parts[self.part]}: {self.answered} requests")

    def _report(self, note: str) -> None:
        self.job.progress(self.part, len(self.parts), unit="tasks", note=note)


def _ask_nothing_else(evaluator: Any) -> None:
    """Keep lm-eval from noting, for each task anew, what pip, git and the system say: the run's report has its own.

    It starts ten processes for that, which take longer than a small model takes to answer.
    """
    evaluator.add_env_info = lambda storage: None
    evaluator.get_git_commit_hash = lambda: ""


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
