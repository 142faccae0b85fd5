"""How the passes of a recipe are spread over processes: the contract, and the local executor.

The local executor runs ranks as DataTrove's does, with its logs and its marks of finished ranks, but in a process pool
of its own. DataTrove's pool waits for ever when a worker is killed, as the kernel does when memory runs out. This one
says so. It serves all passes of a stage, and ends with the stage.
"""

import copy
import multiprocessing
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import dill
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from core import discovery
from core.data.recipe import LocalExecutorConfig
from core.errors import InputError
from core.process import cores, die_with_parent


class Executor(ABC):
    """Runs DataTrove pipelines over ranks, used as a context manager for all passes of one stage.

    Args:
        config: The executor's settings.
        plugin_files: Local plugin files that workers must load (:func:`core.discovery.load`) before they work.
    """

    def __init__(self, config: Any, plugin_files: tuple[str, ...] = ()) -> None:
        self.config = config
        self.plugin_files = plugin_files

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *_: object) -> None:
        """Give back processes and machines."""
        return None

    @abstractmethod
    def run(self, pipeline: list[PipelineStep], tasks: int, logs: Path, finished: Callable[[int], None]) -> None:
        """Run ``pipeline`` for every rank that is not finished yet; return when all are.

        Args:
            pipeline: Steps to run, in order, once for each rank.
            tasks: Number of ranks.
            logs: Folder where DataTrove marks finished ranks; a rank with a mark is not run again.
            finished: Called with the number of finished ranks, at the start and after each.

        Raises:
            core.errors.UserError: a rank could not be finished, with what to do. What was finished stays.
        """


class LocalExecutor(Executor):
    """Run ranks in processes of this machine; with one worker, or one rank left, in this process."""

    def __init__(self, config: LocalExecutorConfig | None = None, plugin_files: tuple[str, ...] = ()) -> None:
        super().__init__(config or LocalExecutorConfig(), plugin_files)
        self._workers = cores() if self.config.workers == -1 else self.config.workers
        self._pool: ProcessPoolExecutor | None = None

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, pipeline: list[PipelineStep], tasks: int, logs: Path, finished: Callable[[int], None]) -> None:
        executor = _RankExecutor(pipeline, tasks=tasks, logging_dir=str(logs))
        ranks = executor.get_incomplete_ranks()
        done = tasks - len(ranks)
        finished(done)
        if self._workers == 1 or len(ranks) <= 1:
            for rank in ranks:
                copy.deepcopy(executor).run_rank(rank)
                done += 1
                finished(done)
            return
        payload = dill.dumps(executor)
        futures = [self._started_pool().submit(_run_rank, payload, rank) for rank in ranks]
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                finished(done)
        except BrokenProcessPool as error:
            raise InputError(
                f"a worker process died in pass {logs.name}, perhaps for want of memory. Finished shards are kept: "
                "start again, with executor.workers=1 where memory is short."
            ) from error
        finally:
            for future in futures:
                future.cancel()

    def _started_pool(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self.plugin_files, os.getpid()),
            )
        return self._pool


class _RankExecutor(LocalPipelineExecutor):
    """DataTrove's executor, one rank at a time."""

    def run_rank(self, rank: int) -> PipelineStats:
        return self._run_for_rank(rank, local_rank=0)


def _start_worker(plugin_files: tuple[str, ...], parent: int) -> None:
    die_with_parent(parent)
    discovery.load(plugin_files)


def _run_rank(payload: bytes, rank: int) -> None:
    dill.loads(payload).run_rank(rank)
