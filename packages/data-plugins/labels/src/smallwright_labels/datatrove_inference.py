"""Labels by DataTrove's inference runner: ranks that work on their own shards, each with checkpoints of its own.

A rank asks a vLLM server that it starts itself, or an OpenAI-compatible server that all ranks share. DataTrove keeps
the answers in chunks and every single request in a cache, so that a killed rank asks for nothing twice; what to ask,
when to ask again and what a reply says is the same as for ``backend=server``.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError
from datatrove.data import Document

from smallwright_labels.asking import BAD_STATUSES, Asker, Completion, Failure
from smallwright_labels.label_files import Item, Record, write_scorer
from smallwright_labels.labeller import LabellingPass
from smallwright_labels.prompting import Prompts
from smallwright_labels.replies import NO_PROMPT

ANSWERS_FOLDER = "answers"
CHECKPOINTS_FOLDER = "checkpoints"
SERVERS_FOLDER = "servers"
RESULT = "rollout_results"


def division(config: Any) -> str:
    """Name how the questions are divided over ranks and chunks.

    DataTrove counts finished chunks of a rank, so answers of a killed run are of use only to one that divides alike.
    """
    return f"{config.ranks or 'files'}-{config.chunk}"


class AskRank(LabellingPass):
    """The asking pass: rank r asks about the sampled documents of its shards and leaves answers in chunks."""

    def run_rank(self, rank: int, world_size: int) -> None:
        from datatrove.pipeline.inference.types import ServerError

        missing = self.label_files(rank, world_size).missing()
        first = next(missing, None)
        if first is None:
            return  # no server is started for nothing
        runner = make_runner(self.labeller.config, self.work)
        try:
            runner.run(self._documents(first, missing), rank, world_size)
        except ServerError as error:
            raise UserError(
                f"data.scorer.backend=datatrove: the server of rank {rank} ended ({str(error)[:300]}). Its log is in "
                f"{self.work / SERVERS_FOLDER}; finished answers are kept: start again."
            ) from error
        except Exception as error:
            known = _caused_by(error, UserError)
            if known is not None:
                raise known from error
            raise

    def _documents(self, first: Item, others: Iterator[Item]) -> Iterator[Document]:
        for item in itertools.chain([first], others):
            # DataTrove drops documents without a text, and writes the whole document with each answer. So the text
            # stands in the metadata, and is taken out before the answer is written.
            about = {"shard": item.shard, "document": item.id, "hash": item.text_hash}
            metadata = {**about, "shown": item.text, "known": item.metadata}
            yield Document(text="-", id=f"{item.shard}/{item.id}", metadata=metadata)


class CollectAnswers(LabellingPass):
    """The collecting pass: one task puts the answers of all ranks into the labels files of their shards."""

    def run_rank(self, rank: int, world_size: int) -> None:
        labels = self.label_files()
        labels.clear()  # what an earlier, killed task of this pass wrote is among the answers
        labels.take_earlier()
        folder = self.work / division(self.labeller.config) / ANSWERS_FOLDER
        for path in sorted(folder.glob("*.jsonl")):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    answer = json.loads(line)["metadata"]
                    known = {"id": answer["document"], "shard": answer["shard"], "text_hash": answer["hash"]}
                    item = Item(text="", metadata={}, **known)
                    labels.append(item, answer[RESULT][0])
        labels.close()
        write_scorer(self.work, self.labeller.describe(), self.labeller.on_the_way())


def make_runner(config: Any, work: Path) -> Any:
    """Return DataTrove's ``InferenceRunner`` for a configuration.

    Raises:
        MissingPluginError: what the runner needs is not installed.
    """
    config.check_libraries("data.scorer")
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    from smallwright_labels.datatrove_servers import make_server

    class Runner(InferenceRunner):
        """DataTrove's runner with servers that start where this project is installed, and end with it."""

        def _init_server(self, rank: int) -> Any:
            return make_server(self.config, rank, config)

    divided = work / division(config)
    inference = InferenceConfig(
        server_type="endpoint" if config.base_url else "vllm",
        model_name_or_path=config.model,
        model_max_context=config.max_model_len,
        use_chat=config.chat,
        endpoint_url=config.base_url,
        tp=config.tensor_parallel_size,
        max_concurrent_generations=config.concurrency,
        request_timeout=config.timeout,
        server_log_folder=str(work / SERVERS_FOLDER),
        server_ready_max_attempts=max(1, config.server_start_seconds // 2),
        server_ready_delay_sec=2.0,
        server_start_max_retries=0,
        model_kwargs={} if config.base_url else _engine_arguments(config),
    )
    return Runner(
        rollout_fn=Rollout(config),
        config=inference,
        output_writer=JsonlWriter(
            str(divided / ANSWERS_FOLDER), output_filename="${rank}_chunk_${chunk_index}.jsonl", compression=None
        ),
        checkpoints_local_dir=str(divided / CHECKPOINTS_FOLDER),
        records_per_chunk=config.chunk,
        metadata_key=RESULT,
    )


def _engine_arguments(config: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "dtype": config.dtype,
        "seed": config.seed,
        "gpu-memory-utilization": config.gpu_memory_utilization,
        "max-num-seqs": config.concurrency,
        # without it a model that never stops writing blanks between the parts of its JSON gives no score
        "structured-outputs-config": json.dumps({"backend": "xgrammar", "disable_any_whitespace": True}),
    }
    if config.revision:
        arguments["revision"] = config.revision
    arguments["enforce-eager"] = config.eager()
    return arguments


class Rollout:
    """DataTrove's rollout function: asks about one document and returns its record, whatever comes."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._prompts = Prompts(config.prompt or config.domain, config.prompt_by)
        self._asker = Asker(config)

    async def __call__(self, document: Document, generate: Any) -> Record:
        text, known = document.metadata.pop("shown"), document.metadata.pop("known")
        prompt = self._prompts.of(known)
        if prompt is None:
            return {"label": None, "outcome": NO_PROMPT}

        async def send(payload: dict[str, Any]) -> Completion:
            return await self._send(payload, generate)

        return await self._asker.ask(text, prompt, send)

    async def _send(self, payload: dict[str, Any], generate: Any) -> Completion:
        from datatrove.pipeline.inference.types import InferenceError, ServerError

        try:
            result = await asyncio.wait_for(generate(payload), self._config.timeout)
        except TimeoutError as error:
            raise Failure("timeout") from error
        except (InferenceError, ServerError) as error:
            raise _failure(error) from error
        return Completion(text=result.text, finish=result.finish_reason, refusal=None)


def _failure(error: Exception) -> Exception:
    """Return the failure that an error of DataTrove's stands for; the error itself when the server is gone."""
    known = _caused_by(error, Failure)
    if known is not None:
        return known
    said = str(getattr(error, "error", error))
    if "BadRequestError" in said:
        return Failure("HTTP 400", status=BAD_STATUSES[0], detail=said[:500])
    if "InternalServerError" in said:
        return Failure("HTTP 500", status=500, detail=said[:500])
    status = said.rpartition("http status ")[2]
    if status.isdigit():
        return Failure(f"HTTP {status}", status=int(status))
    if "Failed to process request after" in said:
        return Failure("connection", detail=said[:200])
    return error


def _caused_by(error: BaseException | None, kind: type[Exception]) -> Any:
    for _ in range(10):
        if error is None or isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None
