"""The process beside a training that evaluates its model: ``python -m smallwright_pretrain.beside <job.json>``.

The ranks write weights and train on. This process, which the stage starts and which lives as long as the training,
makes a Hugging Face folder of them, in a fork, and has the job's evaluator work on it in a process of its own, one step
after another. Of the steps that wait the newest is next, and the others are left out. What fails is written down with
its reason; the training never learns of it. No torch at import.
"""

import contextlib
import multiprocessing
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from core import store
from core.errors import InputError, UserError
from core.interfaces import Job, is_tokens
from core.process import die_with_parent
from core.travel import describe
from core.workers import StageFailed, Workers
from core.writing import remove, replacing

from smallwright_pretrain import evaluations, revisions
from smallwright_pretrain.config import TorchTitanConfig

NICE = 10
"""How far the training comes first on the CPU."""
MODEL = "model"
"""In a snapshot: the Hugging Face folder that is evaluated."""
REASON = "export.error"
"""In a snapshot: why there is no such folder."""


class Beside:
    """The process, as the stage has it: a context manager around the training. Without evaluations it does nothing."""

    def __init__(self, job: Job, job_file: Path, settings: TorchTitanConfig, environment: Mapping[str, str]) -> None:
        """Prepare the process.

        Args:
            job: Of the stage.
            job_file: The job as the ranks read it.
            settings: Of the stage.
            environment: What the ranks have beside the stage's own.

        Raises:
            core.errors.InputError: evaluations are wanted, and the job brings no evaluator.
        """
        self.waited = 0.0
        """Seconds between the end of the training and that of the last evaluation."""
        self._settings, self._job_file = settings, job_file
        self._folder = job.scratch(evaluations.FOLDER) if evaluations.wanted(settings) else None
        self._environment = {**os.environ, **environment, **_share_of_the_machine(settings)}
        self._process: subprocess.Popen[bytes] | None = None
        if self._folder is not None and job.evaluator is None:
            raise InputError("pretrain.eval_every: no evaluator came with the training. Leave it out.")

    def __enter__(self) -> "Beside":
        if self._folder is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "smallwright_pretrain.beside", str(self._job_file)],
                env=self._environment,
                stdin=subprocess.PIPE,
                preexec_fn=die_with_parent,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def finish(self, say: Callable[[str], None]) -> list[str]:
        """Wait until what waits is evaluated, and return what a user should know of it.

        Args:
            say: Told, again and again, what is waited for.
        """
        if self._folder is None or self._process is None:
            return []
        began = time.monotonic()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            self._process.stdin.close()
        while self._process.poll() is None:
            waiting = ", ".join(f"{step:,}" for step in evaluations.snapshots(self._folder))
            say(f"waiting for the evaluation of step {waiting}" if waiting else "waiting for the evaluations to end")
            time.sleep(0.1)
        self.waited = time.monotonic() - began
        code = self._process.returncode
        left = len(evaluations.snapshots(self._folder))
        return [f"evaluating ended with code {code}, and {left} steps are not evaluated; see the log."] if code else []


def _share_of_the_machine(settings: TorchTitanConfig) -> dict[str, str]:
    """Return variables that leave the ranks what is theirs."""
    gpus = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    number = settings.eval_gpu
    return {
        "OMP_NUM_THREADS": str(settings.eval_threads),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "CUDA_VISIBLE_DEVICES": "" if number is None else gpus[number] if number < len(gpus) else str(number),
    }


class Evaluations:
    """Evaluates the snapshots of one training."""

    def __init__(self, job: Job) -> None:
        assert job.evaluator is not None
        self._job = job
        self._folder = job.scratch(evaluations.FOLDER)
        settings = store.digest({"evaluator": describe(job.evaluator)})
        self._output = f"eval-{settings[:8]}"
        """In a snapshot: what an earlier process evaluated of it by the same settings."""
        self._settings: TorchTitanConfig = job.stage.config  # type: ignore[union-attr]
        self._until = float("inf")
        """When the evaluation that is done now is ended."""

    def next(self) -> int | None:
        """Return the step to evaluate: the newest that waits; the others are left out. None: none waits."""
        waiting = [*evaluations.snapshots(self._folder)]
        for step in waiting[:-1]:
            evaluations.left_out(self._folder, step)
        return waiting[-1] if waiting else None

    def tidy(self) -> None:
        """Remove the snapshots of steps that were written down before an earlier process was killed."""
        for place in self._folder.glob(f"{evaluations.GONE}*"):
            remove(place)
        written = {record["step"] for record in evaluations.read_records(self._folder / evaluations.RECORDS)}
        for step, place in evaluations.snapshots(self._folder).items():
            if step in written:
                remove(place)

    def evaluate(self, step: int) -> None:
        """Evaluate a step, and write its scores down, or why there are none."""
        limit = self._settings.eval_timeout
        self._until = float("inf") if limit is None else time.monotonic() + limit
        try:
            (evaluations.snapshot(self._folder, step) / evaluations.BEGUN).touch()
            record = evaluations.scored(step, self._rows(step))
        except Exception as error:  # whatever an evaluator does, those of later steps are done
            reason = self._reason(error)
            print(f"the evaluation of step {step} failed: {reason}", file=sys.stderr)
            record = {"step": step, "eval_failed": reason}
        evaluations.settle(self._folder, record)

    def _reason(self, error: Exception) -> str:
        """Return what an error says in a line, by the keys that the user wrote."""
        said = " ".join(str(error).split())
        for key in self._settings.eval or {}:
            if said.startswith(f"eval.{key}"):
                return f"pretrain.{said}"
        return said if isinstance(error, StageFailed | UserError) else f"{type(error).__name__}: {said}"

    def _rows(self, step: int) -> list[dict[str, Any]]:
        place, job = evaluations.snapshot(self._folder, step), revisions.at_step(self._job, step)
        if not (place / MODEL).exists():
            self._export(step, place)
        work = Job(
            name=f"eval-step-{step}",
            output=place / self._output,
            inputs={
                "model": place / MODEL,
                **{role: path for role, path in job.inputs.items() if is_tokens(role) or role == "tokenizer"},
            },
            seed=job.seed,
            stage=job.evaluator,
            architecture=job.architecture,
            plugin_files=job.plugin_files,
            record={"folder": "eval", "identity": {}, "external_files": []},
        )
        manifest = store.load_manifest(work.output)
        if manifest is None:
            with Workers() as workers:
                workers.do(work, place, look=lambda: self._look(step, work.output))
            manifest = store.load_manifest(work.output)
        rows = (manifest or {}).get("summary", {}).get("eval", [])
        if not rows:
            raise StageFailed("it gave no scores")
        return list(rows)

    def _export(self, step: int, place: Path) -> None:
        """Write the model in a fork, which has imported what it needs and gives the memory of the weights back."""
        from smallwright_pretrain.cpu import use_device

        use_device("cpu")
        assert self._job.architecture is not None
        self._job.architecture.hf_model_class()
        fork = multiprocessing.get_context("fork").Process(target=_write_model, args=(self._job, step, place))
        fork.start()
        while fork.is_alive():
            fork.join(0.1)
            try:
                self._look(step, place / MODEL)
            except StageFailed:
                fork.kill()
                fork.join()
                raise
        if fork.exitcode != 0:
            reason = place / REASON
            said = reason.read_text(encoding="utf-8") if reason.exists() else f"it ended with code {fork.exitcode}"
            raise StageFailed(f"its weights could not be written as a model: {said}")
        remove(place / evaluations.WEIGHTS)

    def _look(self, now: int, made: Path) -> None:
        """Keep of the steps that wait while ``now`` is evaluated the newest: each takes as much disk as the model."""
        for step in [step for step in evaluations.snapshots(self._folder) if step > now][:-1]:
            evaluations.left_out(self._folder, step)
        if time.monotonic() > self._until and not (made / store.MANIFEST).exists():
            raise StageFailed(
                f"pretrain.eval_timeout={self._settings.eval_timeout}: it took more seconds, and was ended. Raise it, "
                "or ask less, as with pretrain.eval={limit: 100}."
            )


def _write_model(job: Job, step: int, place: Path) -> None:
    die_with_parent()
    try:
        with replacing(place / MODEL) as folder:
            revisions.export(job, place / evaluations.WEIGHTS, step, folder)
    except Exception as error:
        (place / REASON).write_text(f"{type(error).__name__}: {' '.join(str(error).split())}", encoding="utf-8")
        raise


def main(job_file: Path) -> None:
    """Evaluate what comes until stdin ends, and then what is left."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    work = Evaluations(Job.read(job_file))
    work.tidy()
    ended = False
    while True:
        # The end first: what was written before it is still found.
        ended = ended or bool(select.select([sys.stdin], [], [], 0.2)[0])
        step = work.next()
        if step is not None:
            work.evaluate(step)
        elif ended:
            return


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]))
