"""Servers for DataTrove's inference runner: vLLM started by this Python, and an address that is already served.

DataTrove's own classes, changed where they cannot be used as they are (0.10.1): its vLLM server calls ``vllm serve``,
which does not start from the CPU build of vLLM and outlives a killed rank; its endpoint asks an address for
``/v1/v1/models`` before it uses it, sends no key to a local server, and has no time limit there.
"""

import asyncio
import os
import sys
from typing import Any

from core.engines import vllm_environment
from datatrove.pipeline.inference.servers.base import InferenceServer
from datatrove.pipeline.inference.servers.vllm_server import VLLMServer

from smallwright_labels.server import Connection

MAIN = "smallwright_labels.vllm_main"


def make_server(inference: Any, rank: int, config: Any) -> InferenceServer:
    """Return the server of a rank.

    Args:
        inference: DataTrove's ``InferenceConfig``.
        config: The step's settings.
    """
    return Endpoint(inference, rank, config) if config.base_url else OwnVllm(inference, rank)


class Endpoint(InferenceServer):
    """An OpenAI-compatible server at an address."""

    def __init__(self, inference: Any, rank: int, config: Any) -> None:
        super().__init__(inference, rank)
        self._step_config = config
        self._connection: Connection | None = None

    async def start_server(self) -> None:
        """Open the connections; there is no process to start."""
        config = self._step_config
        self._connection = Connection(
            base_url=config.base_url,
            model=config.model,
            key=config.api_key(),
            timeout=config.timeout,
            chat=config.chat,
            connections=config.concurrency,
        )

    async def monitor_health(self) -> None:
        """Wait for ever: what is wrong with the server shows in its answers."""
        await asyncio.Event().wait()

    async def is_ready(self) -> bool:
        """Return True: a server that does not answer is met, counted and waited for by each request."""
        return True

    async def server_cleanup(self) -> None:
        """Close the connections."""
        await super().server_cleanup()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _make_request(self, payload: dict) -> dict:
        assert self._connection is not None
        completion = await self._connection.send(payload)
        message = {"content": completion.text or completion.refusal or ""}
        finish = "content_filter" if completion.refusal else completion.finish
        return {"choices": [{"message": message, "text": completion.text, "finish_reason": finish}]}


class OwnVllm(VLLMServer):
    """vLLM's server as a child of this rank."""

    def __init__(self, inference: Any, rank: int) -> None:
        # VLLMServer asks for a distribution named vllm; its CPU build has another name
        InferenceServer.__init__(self, inference, rank)
        self._compile_lock = None

    async def _start_vllm_task(self) -> asyncio.subprocess.Process:
        config = self.config
        command = [sys.executable, "-m", MAIN, str(os.getpid()), "--model", config.model_name_or_path]
        command += ["--host", "127.0.0.1", "--port", str(self._port), "--max-model-len", str(config.model_max_context)]
        if config.tp > 1:
            command += ["--tensor-parallel-size", str(config.tp)]
        for name, value in config.model_kwargs.items():
            switch = isinstance(value, bool)
            command.append(f"--{'' if value else 'no-'}{name}" if switch else f"--{name}={value}")
        environment = vllm_environment(eager=bool(config.model_kwargs["enforce-eager"]))
        del environment["VLLM_ENABLE_V1_MULTIPROCESSING"]  # a server keeps its engine in a process of its own
        return await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, **os.environ},
        )
