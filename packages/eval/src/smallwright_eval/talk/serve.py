"""``core.serve``: vLLM's OpenAI-compatible server, and a page to talk to the model."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.engines import vllm_is_for_cpu
from core.errors import ConfigError
from core.interfaces import ModelCommand, NamedModel

from smallwright_eval.talk import loading, page, server, start
from smallwright_eval.talk.config import ServeConfig

END_SECONDS = 20
"""For a server to end its engine."""


class Serve(ModelCommand):
    """Serve a model by OpenAI's API (``/v1/models``, ``completions``, ``chat/completions``) and a page at ``/``.

    The variable ``VLLM_API_KEY`` is the key that requests must bring; without it none is asked for.
    """

    config: ServeConfig

    def environment(self) -> dict[str, str]:
        """Return what makes vLLM quiet and quick to start."""
        found = {**start.environment("vllm"), "PYTHONWARNINGS": "ignore"}
        if not self.config.enforce_eager:
            found.pop("TORCHDYNAMO_DISABLE", None)
        del found["VLLM_ENABLE_V1_MULTIPROCESSING"]  # the server answers while its engine, another process, computes
        return found

    def check(self, model: NamedModel) -> None:
        """Refuse a missing vLLM, heads that it cannot serve, too long a context, and an address that is taken."""
        config = self.config
        start.check(model, "vllm")
        longest = model.planned.context()
        if longest is not None and config.max_model_len is not None and config.max_model_len > longest:
            raise ConfigError(f"max_model_len={config.max_model_len}: above the model's {longest} positions. Lower it.")
        self._free_port()

    def run(self, model: NamedModel) -> int:
        """Serve until a signal asks for the end."""
        config, port = self.config, self._free_port()
        if config.host not in page.LOCAL:
            key = "requests need its key" if os.environ.get(page.KEY) else f"set {page.KEY} to ask for a key"
            print(f"note: host={config.host}: whoever reaches this machine reaches the model; {key}.", file=sys.stderr)
        name = config.name or model.label
        about = {
            "name": name,
            "turns": loading.takes_turns(config, model, SimpleNamespace(chat_template=_has_template(model.directory))),
            "context": config.max_model_len or loading.positions(model),
            "engine": f"vLLM, {self._dtype()}",
            "local": config.host in page.LOCAL,
        }
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        command = [sys.executable, "-m", server.__name__, str(os.getpid()), *self._arguments(model, name, port)]
        print(f"starting vLLM with {name} ...", file=sys.stderr, flush=True)
        # A group of its own: Ctrl-C comes here alone, and whatever happens nothing of the group is left.
        process = subprocess.Popen(
            command,
            env={**os.environ, page.ABOUT: json.dumps(about)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        ready = False
        # A shell lets what it starts in the background ignore SIGINT, which is how programs end a server.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if ready := _is_ready(process, url):
                print(_ready(url, about), flush=True)
            code = process.wait()
        except KeyboardInterrupt:
            if not ready:
                raise
            code = 0
        finally:
            _end(process, ready)
        if code:
            raise ConfigError(f"model={model.named}: vLLM ended with the code {code}. What it said is above.")
        print("ended.", file=sys.stderr)
        return 0

    def _dtype(self) -> str:
        return loading.dtype_of(self.config.dtype, "cpu" if vllm_is_for_cpu() else "cuda")

    def _arguments(self, model: NamedModel, name: str, port: int) -> list[str]:
        config = self.config
        dtype = self._dtype()
        given = {
            "model": str(model.directory),
            "served-model-name": name,
            "host": config.host,
            "port": port,
            "dtype": dtype,
            "load-format": "safetensors",  # a directory may hold pickles too; they are never read
            "max-num-seqs": config.max_num_seqs,
            "tensor-parallel-size": config.tensor_parallel_size,
            "seed": config.seed,
            "middleware": f"{page.__name__}.{page.Page.__name__}",
            "allowed-origins": json.dumps(list(config.allowed_origins)),
            "uvicorn-log-level": "warning",
        }
        if config.max_model_len is not None:
            given["max-model-len"] = config.max_model_len
        if config.kv_cache_gib is not None:
            given["kv-cache-memory-bytes"] = int(config.kv_cache_gib * 2**30)
        elif vllm_is_for_cpu():
            from smallwright_eval.talk.by_vllm import cache_bytes

            given["kv-cache-memory-bytes"] = cache_bytes(model, 4 if dtype == "float32" else 2, config.max_model_len)
        else:
            given["gpu-memory-utilization"] = config.gpu_memory_utilization
        flags = ["--disable-fastapi-docs", "--disable-uvicorn-access-log"]
        flags += ["--enforce-eager"] if config.enforce_eager else []
        flags += ["--trust-remote-code"] if config.trust_remote_code else []
        return [*(f"--{key}={value}" for key, value in given.items()), *flags]

    def _free_port(self) -> int:
        """Return the port, or one that is free where it is 0.

        Raises:
            ConfigError: it is taken, or is none of this machine's.
        """
        host, port = self.config.host, self.config.port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(found[0], socket.SOCK_STREAM) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(found[4])
                return int(tried.getsockname()[1])
        except (socket.gaierror, UnicodeError) as error:
            why = error.strerror if isinstance(error, socket.gaierror) else "no name of a machine"
            raise ConfigError(f"host={host[:80]}: no address of this machine ({why}).") from error
        except OSError as error:
            raise ConfigError(
                f"port={port}: cannot be listened on at {host}: {error.strerror}. Set another, or port=0 for one that "
                "is free."
            ) from error


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server answers; False: it ended before."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy is for other machines
    while process.poll() is None:
        with contextlib.suppress(OSError), opener.open(f"{url}/health", timeout=5):
            return True
        time.sleep(0.2)
    return False


def _ready(url: str, about: Mapping[str, Any]) -> str:
    turn = [{"role": "user", "content": "Hello"}]
    path = "chat/completions" if about["turns"] else "completions"
    body = json.dumps({"model": about["name"], **({"messages": turn} if about["turns"] else {"prompt": "Hello"})})
    key = f" -H 'Authorization: Bearer '${page.KEY}" if os.environ.get(page.KEY) else ""
    return (
        f"ready: talk to it at {url}/, programs at {url}/v1\n"
        f"curl {url}/v1/{path}{key} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )


def _end(process: subprocess.Popen[bytes], ready: bool) -> None:
    """End the server and its engine: one that answers in its own way, one that starts at once."""
    try:
        if ready and process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _has_template(directory: Path) -> bool:
    if (directory / "chat_template.jinja").is_file():
        return True
    try:
        found = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and bool(found.get("chat_template"))
