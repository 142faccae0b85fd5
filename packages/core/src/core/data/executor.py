"""DataTrove's local executor on a pool that notices when a worker dies.

DataTrove's own pool waits for ever when a worker is killed (by the kernel, for memory). This one keeps DataTrove's
pipeline runner, logs and marks of finished ranks, and changes only how processes are had: one pool for all passes of
a stage, which ends with the stage and says when a worker is gone.
"""

import copy
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import dill
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from core import discovery
from core.errors import InputError
from core.process import die_with_parent


class LocalPasses:
    """Run pipelines over ranks, in this process or in a pool of workers.

    Args:
        workers: Processes; 1 works in this process.
        plugin_files: Local plugin files that workers must load too.
    """

    def __init__(self, workers: int, plugin_files: tuple[str, ...]) -> None:
        self._workers = workers
        self._plugin_files = plugin_files
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "LocalPasses":
        if self._workers > 1:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._plugin_files, os.getpid()),
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, pipeline: list[PipelineStep], tasks: int, logs: Path, finished: Callable[[int], None]) -> None:
        """Run ``pipeline`` for every rank that is not finished yet.

        Args:
            finished: Called with the number of finished ranks, at the start and after each.

        Raises:
            InputError: a worker process died.
        """
        executor = _RankExecutor(pipeline, tasks=tasks, logging_dir=str(logs))
        ranks = executor.get_incomplete_ranks()
        done = tasks - len(ranks)
        finished(done)
        if self._pool is None or len(ranks) <= 1:
            for rank in ranks:
                copy.deepcopy(executor).run_rank(rank)
                done += 1
                finished(done)
            return
        payload = dill.dumps(executor)
        futures = [self._pool.submit(_run_rank, payload, rank) for rank in ranks]
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                finished(done)
        except BrokenProcessPool as error:
            raise InputError(
                f"a worker process died in pass {logs.name}, perhaps for want of memory. Finished shards are kept: "
                "start again, with data.workers=1 where memory is short."
            ) from error
        finally:
            for future in futures:
                future.cancel()


class _RankExecutor(LocalPipelineExecutor):
    """DataTrove's executor, one rank at a time."""

    def run_rank(self, rank: int) -> PipelineStats:
        return self._run_for_rank(rank, local_rank=0)


def _start_worker(plugin_files: tuple[str, ...], parent: int) -> None:
    die_with_parent(parent)
    discovery.load(plugin_files)


def _run_rank(payload: bytes, rank: int) -> None:
    dill.loads(payload).run_rank(rank)
