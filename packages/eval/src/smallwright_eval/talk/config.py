"""Settings of the commands that work with a model."""

import dataclasses
from typing import Literal

from core.errors import ConfigError
from core.typed import setting

Numbers = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]
Engine = Literal["transformers", "vllm"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What runs the model."""

    engine: Engine = "transformers"
    """What runs the model: Transformers starts sooner, vLLM answers many prompts faster."""
    dtype: Numbers = "auto"
    """Numbers to compute in; ``auto`` is float32 on a CPU and bfloat16 on a GPU."""
    device: Device = "auto"
    """Where to compute; ``auto`` is the GPU where there is one. vLLM takes what it was built for."""
    trust_remote_code: bool = False
    """Let a model directory bring Python code. Architectures of installed plugins do not need it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig(EngineConfig):
    """How answers are drawn."""

    temperature: float | None = setting(None, ge=0)
    """Of sampling; 0 takes the likeliest token each time. None: what the model's ``generation_config.json`` says, or
    0.7."""
    top_p: float | None = setting(None, gt=0, le=1)
    """Sample from the likeliest tokens that have this share of the probability. None: as the model says, or 1."""
    repetition_penalty: float | None = setting(None, gt=0)
    """Above 1, tokens that were used already become less likely. None: as the model says, or 1."""
    max_new_tokens: int = setting(512, ge=1)
    """Longest answer in tokens; a model of few positions keeps half of them for the prompt."""
    chat_template: bool | None = None
    """Whether prompts are turns of a chat. None: where the model has learned its template, which one that was only
    pretrained has not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChatConfig(SamplingConfig):
    """Settings of ``core.chat``."""

    system: str | None = None
    """What the model is told before the first turn. None: what its template says without."""
    seed: int | None = setting(None, ge=0, le=2**32 - 1)
    """Makes the same conversation the same again. None: another one each time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateConfig(SamplingConfig):
    """Settings of ``core.generate``."""

    prompts: str = setting(min_length=1)
    """A text file with a prompt a line, or ``.jsonl`` with strings, ``{"prompt": ...}`` or ``{"messages": [...]}``."""
    out: str = setting(min_length=1)
    """The ``.jsonl`` file to write."""
    n: int = setting(1, ge=1, le=1000)
    """Answers to each prompt."""
    system: str | None = None
    """What the model is told before each prompt that is a turn."""
    seed: int = setting(0, ge=0, le=2**32 - 1)
    """Of sampling."""
    batch_size: int = setting(16, ge=1)
    """Answers that Transformers makes at once; what is sampled depends on it. vLLM gets 64 times as many prompts at a
    time."""

    def __post_init__(self) -> None:
        if not self.out.endswith(".jsonl"):
            raise ConfigError(f"out={self.out}: a .jsonl file is written. Name it so.")
        if self.n > 1 and self.temperature == 0:
            raise ConfigError(f"n={self.n}: with temperature=0 all answers are the same. Set n=1 or a temperature.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Settings of ``core.serve``."""

    host: str = setting("127.0.0.1", min_length=1)
    """Address to listen on; ``0.0.0.0``: all of this machine's, so that others reach it."""
    port: int = setting(8000, ge=0, le=65535)
    """Port to listen on; 0: one that is free."""
    name: str | None = None
    """What the API calls the model. None: the name of its artifact, its folder or its hub id."""
    allowed_origins: tuple[str, ...] = ()
    """Other pages that may ask the server from a browser, as ``http://localhost:3000``; its own page always may."""
    chat_template: bool | None = None
    """Whether the page shows turns of a chat. None: where the model has learned its template."""
    dtype: Numbers = "auto"
    """Numbers to compute in; ``auto`` is float32 on a CPU and bfloat16 on a GPU."""
    trust_remote_code: bool = False
    """Let a model directory bring Python code. Architectures of installed plugins do not need it."""
    max_model_len: int | None = setting(None, ge=4)
    """Longest prompt and answer together, in tokens. None: what the model's config allows."""
    max_num_seqs: int = setting(32, ge=1)
    """Sequences in one step."""
    kv_cache_gib: float | None = setting(None, gt=0)
    """GiB for the keys and values. None: on a CPU 1, or two sequences of the greatest length; on a GPU what
    ``gpu_memory_utilization`` leaves."""
    gpu_memory_utilization: float = setting(0.8, gt=0, le=1)
    """On a GPU: share of its memory to use."""
    tensor_parallel_size: int = setting(1, ge=1)
    """GPUs that share one model."""
    enforce_eager: bool = True
    """No compilation and no CUDA graphs: it starts a minute sooner, and answers slower on a GPU."""
    seed: int = setting(0, ge=0, le=2**32 - 1)
    """Of sampling, where a request has none."""

    def __post_init__(self) -> None:
        if self.name is not None and not (self.name.strip() and self.name.isprintable()):
            raise ConfigError(f"name={self.name!r}: has no letters, or characters that cannot be seen. Give another.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Settings of ``core.bench``: every combination of the lists is measured."""

    engine: tuple[Engine, ...] = setting(("transformers",), min_length=1)
    """What runs the model."""
    dtype: tuple[Numbers, ...] = setting(("auto",), min_length=1)
    """Numbers to compute in."""
    batch: tuple[int, ...] = setting((1,), ge=1, min_length=1)
    """Sequences at once."""
    prompt_tokens: tuple[int, ...] = setting((128,), ge=1, min_length=1)
    """Length of the prompts."""
    new_tokens: tuple[int, ...] = setting((64,), ge=2, min_length=1)
    """Length of the answers."""
    repeats: int = setting(5, ge=1)
    """Measurements of each combination, after one that does not count."""
    device: Device = "auto"
    """Where to compute; ``auto`` is the GPU where there is one."""
    threads: int | None = setting(None, ge=1)
    """CPU threads. None: one for each core."""
    compile: bool = False
    """vLLM: compile the model and use CUDA graphs, which takes minutes before the first measurement."""
    trust_remote_code: bool = False
    """Let a model directory bring Python code. Architectures of installed plugins do not need it."""
    out: str | None = None
    """Folder for ``bench.json``, ``bench.parquet`` and the page ``bench.html``."""
    timeout_s: float = setting(3600.0, gt=0)
    """Longest time for one combination, in seconds; one that takes longer is ended and told of."""

    def __post_init__(self) -> None:
        for name in ("engine", "dtype", "batch", "prompt_tokens", "new_tokens"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ConfigError(f"{name}: a value stands twice. Leave one out.")
