"""The stage ``logits``: a teacher goes through a corpus once, and what it says is kept for every student.

``python -m smallwright_pretrain.store_logits <job.json> <rank>`` is one of several processes of the stage.

Letters of tensor names: docs/architectures.md; N is the tokens of some windows, one after another, K the stored ids of
a token, B its K + 1 buckets.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from core.engines import allocator_environment, ranks_environment
from core.errors import InputError, UserError, full_disk
from core.interfaces import Job, Stage, StoredLogits, TokensMeta
from core.process import cores, die_with_parent
from core.writing import remove, write_json

from smallwright_pretrain import stored
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.distill_config import CHUNK_VALUES, Mix
from smallwright_pretrain.stored import StoredConfig, bytes_per_token, id_type
from smallwright_pretrain.stored_files import IDS, LOGS, files_of, identity_of, read_by, save
from smallwright_pretrain.window_pass import Arrays, WindowPass, go_through
from smallwright_pretrain.windows import VIEWS

if TYPE_CHECKING:
    import torch

JOB_FILE, SHARDS_FILE, ERROR_FILE = "job.json", "shards.json", "error-{}.txt"
POLL = 0.5
"""Seconds between looks at what the processes have written."""


class StoreLogits(Stage):
    """Keep a teacher's largest probabilities of every next token of a corpus."""

    config: StoredConfig

    def environment(self) -> dict[str, str]:
        """Return variables for torch: threads of a process, and an allocator that keeps freed memory."""
        return {**ranks_environment(threads=max(1, cores() // self.config.nproc)), **allocator_environment()}

    def run(self, job: Job) -> dict[str, Any]:
        """Write the shards that are not there yet.

        Returns:
            ``windows``, ``tokens``, ``bytes``, ``bytes_per_token``, ``tokens_per_second`` (of this start; None: there
            was nothing left to do).

        Raises:
            core.errors.UserError: the corpus has no window, the disk is too small, or the teacher cannot be used.
        """
        files, listed_N = _files(self.config, job)
        meta = TokensMeta.load(_tokens(self.config, job))
        each, numbers = bytes_per_token(self.config.top_k, meta.vocab_size), files.missing()
        spans = {number: last - first for number in numbers for first, last in [files.bounds(number)]}
        _check_space(job.output, sum(spans.values()) * self.config.seq_len * each)
        started, left = time.monotonic(), sum(spans.values())
        done = files.windows - left
        job.progress(done, files.windows, "windows", "what the teacher says")

        def wrote(windows: int) -> None:
            nonlocal done
            done += windows
            job.progress(done, files.windows, "windows", "what the teacher says")

        if min(self.config.nproc, len(numbers)) > 1:
            self._share_out(job, files, spans, wrote)
        elif numbers:
            fill(job, files, listed_N, numbers, wrote)
        save(files, listed_N)
        seconds = time.monotonic() - started
        return {
            "windows": files.windows,
            "tokens": files.windows * self.config.seq_len,
            "bytes": files.windows * self.config.seq_len * each,
            "bytes_per_token": each,
            "tokens_per_second": left * self.config.seq_len / seconds if left else None,
        }

    def _share_out(self, job: Job, files: WindowPass, spans: dict[int, int], wrote: Callable[[int], None]) -> None:
        """Let several processes write the shards, each its own."""
        work = job.scratch("logits")
        for old in work.glob(ERROR_FILE.format("*")):
            remove(old)
        job.write(work / JOB_FILE)
        ranks, numbers = min(self.config.nproc, len(spans)), list(spans)
        write_json(work / SHARDS_FILE, [numbers[rank::ranks] for rank in range(ranks)])
        command = [sys.executable, "-m", "smallwright_pretrain.store_logits", str(work / JOB_FILE)]
        children = [subprocess.Popen([*command, str(rank)], preexec_fn=die_with_parent) for rank in range(ranks)]
        try:
            waiting = set(numbers)
            while True:
                codes = [child.poll() for child in children]
                for number in [number for number in waiting if files.path(number).exists()]:
                    waiting.remove(number)
                    wrote(spans[number])
                if any(codes):
                    raise _failure(work, codes)
                if all(code == 0 for code in codes):
                    return
                time.sleep(POLL)
        finally:
            for child in children:
                child.kill()
                child.wait()


def of_training(config: TorchTitanConfig, corpora: Sequence[str]) -> list[StoredLogits]:
    """Return the work for a training, in the form that core asks for; see :func:`.stored.of_training`."""
    return [
        StoredLogits(role=part.role, corpus=part.corpus, stage=StoreLogits(part), follows=part.stages is not None)
        for part in stored.of_training(config, corpora)
    ]


def _tokens(config: StoredConfig, job: Job) -> Path:
    """Return the tokens of the corpus: of several that a training reads, or the only ones."""
    tokens = job.tokens()
    return tokens[config.read_as] if config.read_as is not None else next(iter(tokens.values()))


def _files(config: StoredConfig, job: Job) -> tuple[WindowPass, np.ndarray | None]:
    """Return the files, and the windows that they are of; None: all of the corpus."""
    tokens = _tokens(config, job)
    teacher = str((dict(job.record.get("identity") or {}).get("inputs") or {}).get("teacher", ""))
    listed_N = read_by(config, job.tokens(), job.seed)
    windows = VIEWS[config.view](tokens, "train", config.seq_len).full_windows if listed_N is None else len(listed_N)
    if not windows and listed_N is None:
        raise InputError(
            f"pretrain.seq_len={config.seq_len}: {config.corpus} has no window of {config.seq_len + 1} tokens. Use a "
            "shorter seq_len or more data."
        )
    identity = identity_of(config, tokens, teacher, listed_N)
    return files_of(job.output, windows, TokensMeta.load(tokens).vocab_size, identity), listed_N


def _check_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: the teacher's distributions take {needed:,} bytes more, and the disk has {free:,}. Make room, "
            "lower pretrain.distill.top_k, or set pretrain.distill.logits=live."
        )


def _failure(work: Path, codes: Sequence[int | None]) -> Exception:
    for rank, code in enumerate(codes):
        said = work / ERROR_FILE.format(rank)
        if said.exists():
            return UserError(said.read_text(encoding="utf-8"))
        if code:
            how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}, see the log"
            return RuntimeError(f"process {rank} of the teacher was {how}. Run again to go on.")
    raise AssertionError("none failed")


def fill(
    job: Job,
    files: WindowPass,
    listed_N: np.ndarray | None,
    numbers: Sequence[int],
    done: Callable[[int], None] = lambda windows: None,
    rank: int = 0,
) -> None:
    """Write some shards with a teacher of this process.

    Args:
        listed_N: The windows that the files are of; None: all of the corpus.
        done: Told of the windows of each forward pass.
        rank: Number of the process, and of its GPU.
    """
    import torch

    from smallwright_pretrain.cpu import choose_device
    from smallwright_pretrain.teacher import Teacher, know

    assert job.stage is not None
    config: StoredConfig = job.stage.config
    kind = choose_device(config.device)
    device = torch.device(kind, rank % torch.cuda.device_count()) if kind == "cuda" else torch.device(kind)
    if job.architecture is not None:
        know(job.architecture)
    tokens = _tokens(config, job)
    ids = TokensMeta.load(tokens).vocab_size
    teacher = Teacher(
        job.inputs["teacher"] / "hf", Mix(), ids=ids, dtype=getattr(torch, config.precision), device=device
    )
    windows = VIEWS[config.view](tokens, "train", config.seq_len)

    def measure(first: int, last: int) -> Arrays:
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(first, last, config.rows):
            places = range(start, min(start + config.rows, last))
            rows = [windows.window(place if listed_N is None else int(listed_N[place])) for place in places]
            inputs_BL, positions_BL = (
                torch.from_numpy(np.stack([row[part] for row in rows])).to(device) for part in (0, 1)
            )
            states_ND = teacher.states(inputs_BL, positions_BL)
            found = [
                largest(teacher.head(states_ND[token : token + chunk]), config.top_k, config.temperature)
                for chunk in [max(1, CHUNK_VALUES // ids)]
                for token in range(0, len(states_ND), chunk)
            ]
            shape = (len(rows), config.seq_len, -1)
            ids_NK, logs_NB = (torch.cat(part).cpu().numpy() for part in zip(*found, strict=True))
            if np.isnan(logs_NB).any():
                raise InputError(
                    f"pretrain.distill.teacher={config.teacher}: gives no numbers in one of the windows {start:,} to "
                    f"{start + len(rows) - 1:,} of {config.corpus}. Set pretrain.precision=float32, or give another."
                )
            parts.append((ids_NK.astype(id_type(ids)).reshape(shape), logs_NB.reshape(shape)))
            done(len(rows))
        return {name: np.concatenate(part) for name, part in zip((IDS, LOGS), zip(*parts, strict=True), strict=True)}

    go_through(files, measure, numbers)


def largest(logits_NV: "torch.Tensor", top_k: int, temperature: float) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the ids of the largest probabilities, int32 of shape (N, K), and in float16, shape (N, B), the logarithms
    of these probabilities, the largest first, and of the sum of all others, -inf where there are none."""
    import torch

    log_p_NV = torch.log_softmax(logits_NV.float() / temperature, -1)
    log_p_NK, ids_NK = log_p_NV.topk(min(top_k, log_p_NV.shape[-1]))
    # Of the others themselves: 1 minus the stored ones would be nothing but their rounding where it is small.
    rest_N1 = log_p_NV.scatter_(1, ids_NK, float("-inf")).logsumexp(-1, keepdim=True)
    return ids_NK.int(), torch.cat([log_p_NK, rest_N1], -1).half()


def main(job_file: Path, rank: int) -> None:
    """Write this process's shards."""
    work, job = job_file.parent, Job.read(job_file)
    assert job.stage is not None
    numbers = json.loads((work / SHARDS_FILE).read_text(encoding="utf-8"))[rank]
    try:
        fill(job, *_files(job.stage.config, job), numbers, rank=rank)
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else full_disk(error, job.output)
        if said is not None:
            with contextlib.suppress(OSError):  # then the log says it
                (work / ERROR_FILE.format(rank)).write_text(said, encoding="utf-8")
        raise


if __name__ == "__main__":
    die_with_parent()
    main(Path(sys.argv[1]), int(sys.argv[2]))
