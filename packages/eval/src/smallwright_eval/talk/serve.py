"""``core.serve``: vLLM's OpenAI-compatible server, and a page to talk to the model."""

import contextlib
import json
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator

from core.engines import vllm_is_for_cpu
from core.errors import ConfigError
from core.interfaces import ModelCommand, NamedModel

from smallwright_eval.talk import loading, page, start
from smallwright_eval.talk.config import ServeConfig

SERVER = "vllm.entrypoints.openai.api_server"
"""``vllm serve`` looks for a distribution called vllm, which the one for CPUs is not."""
LOCAL = ("127.0.0.1", "localhost", "::1")


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
        if config.host not in LOCAL:
            key = "requests need its key" if os.environ.get(page.KEY) else f"set {page.KEY} to ask for a key"
            print(f"note: host={config.host}: whoever reaches this machine reaches the model; {key}.", file=sys.stderr)
        tokenizer = loading.tokenizer(model, config.trust_remote_code)
        name = config.name or model.label
        about = {
            "name": name,
            "turns": loading.takes_turns(config, model, tokenizer),
            "context": config.max_model_len or loading.positions(model),
            "engine": f"vLLM, {loading.dtype_of(config.dtype, loading.device_of('auto'))}",
        }
        os.environ[page.ABOUT] = json.dumps(about)
        url = f"http://{f'[{config.host}]' if ':' in config.host else config.host}:{port}"
        ready = threading.Thread(target=_tell_when_ready, args=(url, about), daemon=True)
        print(f"starting vLLM with {name} ...", file=sys.stderr, flush=True)
        ready.start()
        warnings.simplefilter("ignore")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end_at_once)
        with _arguments([SERVER, *self._arguments(model, name, port)]):
            try:
                runpy.run_module(SERVER, run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            except (ValueError, RuntimeError, OSError) as error:
                said = " ".join(str(error).split())[:400]
                raise ConfigError(f"model={model.named}: vLLM cannot serve it: {said}") from error
        print("ended.", file=sys.stderr)
        return 0

    def _arguments(self, model: NamedModel, name: str, port: int) -> list[str]:
        config = self.config
        dtype = loading.dtype_of(config.dtype, loading.device_of("auto"))
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
        except socket.gaierror as error:
            raise ConfigError(f"host={host}: no address of this machine ({error.strerror}).") from error
        except OSError as error:
            raise ConfigError(
                f"port={port}: cannot be listened on at {host}: {error.strerror}. Set another, or port=0 for one that "
                "is free."
            ) from error


@contextlib.contextmanager
def _arguments(line: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, line
    try:
        yield
    finally:
        sys.argv = before


def _end_at_once(number: int, _: object) -> None:
    """End while vLLM starts: an exception would be lost in one of the many libraries that are imported then.

    The server sets its own way to end when it is there.
    """
    for process in multiprocessing.active_children():
        process.kill()
    print("interrupted.", file=sys.stderr, flush=True)
    os._exit(128 + number)


def _tell_when_ready(url: str, about: dict[str, object]) -> None:
    """Print where the model is served, as soon as it is."""
    asked = url.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    while True:
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{asked}/health", timeout=5):
            break
        time.sleep(0.2)
    turn = [{"role": "user", "content": "Hello"}]
    path = "chat/completions" if about["turns"] else "completions"
    body = json.dumps({"model": about["name"], **({"messages": turn} if about["turns"] else {"prompt": "Hello"})})
    key = f" -H 'Authorization: Bearer '${page.KEY}" if os.environ.get(page.KEY) else ""
    print(
        f"ready: talk to it at {asked}/, programs at {asked}/v1\n"
        f"curl {asked}/v1/{path}{key} -H 'Content-Type: application/json' -d '{body}'",
        flush=True,
    )
