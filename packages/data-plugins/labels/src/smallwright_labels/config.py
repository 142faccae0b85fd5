"""Settings of the steps that label."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from core.checks import check_local, check_modules
from core.errors import ConfigError
from core.interfaces import StepConfig
from core.registry import Registry
from core.typed import setting

SERVER_MODULES = {"httpx": "httpx"}
DATATROVE_MODULES = {name: name for name in ("aiofiles", "aiosqlite", "httpx")}
"""What the backends need beside vLLM: module to distribution."""


def _check_address(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        secret = parts.username is not None or bool(parts.query)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        secret, known = "@" in base_url, False
    if secret:  # this message must not show the address
        raise ConfigError("base_url: must hold no key or password; name an environment variable in api_key_env.")
    if not known:
        raise ConfigError(f"base_url={base_url}: must be an address that starts with http:// or https://.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConfig(StepConfig):
    """What is labelled. Both steps have these settings, so that a recipe can take either."""

    domain: Literal["maths", "maths_3", "education", "code"] = setting("maths")
    """What is rated: ``maths`` 0-5 (FineMath's final scale, SmolLM2 §3.3.2), ``maths_3`` 0-3 (its first pass),
    ``education`` 0-5 (FineWeb-Edu, FineWeb §4), ``code`` 0-5 (Stack-Edu, SmolLM2 §3.4)."""
    key: str = setting("label")
    """Metadata key of the label; what else is known of it goes under ``<key>_reason``, ``<key>_scorer``, ..."""
    prompt_by: str | None = setting("language")
    """Metadata key that chooses the variant, for a domain or prompt with variants: code has one for each language."""
    sample: int | None = setting(1000, ge=1)
    """Documents to label (of each stratum), those with the smallest hash of their id; null labels all. FineMath
    labelled about 1M, FineWeb-Edu 460,000, Stack-Edu 500,000 of each language."""
    strata: str | None = setting(None)
    """Metadata key, such as language or source: ``sample`` documents of each of its values."""
    balance_by: str | None = setting(None)
    """Metadata key of a preliminary score: the sample is balanced over its rounded values. FineMath upsampled maths
    pages with a preliminary classifier (finemath-classifier card)."""
    balance_shares: Mapping[str, float] | None = setting(None, ge=0)
    """Weight of each rounded score, such as {0: 1, 3: 2}; others get nothing. null: all the same. A score with too few
    documents gives all it has, and the others fill up."""

    def __post_init__(self) -> None:
        if not self.key.isidentifier():
            raise ConfigError(f"key={self.key!r}: must be a name, such as label.")
        if self.balance_by is not None and self.sample is None:
            raise ConfigError(f"balance_by={self.balance_by}: needs a sample to balance; set sample=<documents>.")
        if self.balance_shares is not None:
            if self.balance_by is None:
                raise ConfigError("balance_shares: needs balance_by=<metadata key of a preliminary score>.")
            wrong = [name for name in self.balance_shares if not name.isdigit()]
            if wrong or not any(self.balance_shares.values()):
                raise ConfigError(
                    f"balance_shares={dict(self.balance_shares)}: must map whole scores to weights of at least 0, not "
                    "all 0, such as {0: 1, 3: 2}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreRulesConfig(LabelConfig):
    """Labels by rules: no model, for demonstrations and as a baseline."""

    max_chars: int = setting(20_000, ge=100)
    """Characters read of each document."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreLlmConfig(LabelConfig):
    """Labels by a language model: in this process, on a server, or on DataTrove's inference runner."""

    backend: Literal["vllm", "server", "datatrove"] = setting("vllm")
    """``vllm``: the engine in this process. ``server``: any OpenAI-compatible server at ``base_url``. ``datatrove``:
    DataTrove's inference runner over ``ranks`` tasks, each with a vLLM server of its own, or all on ``base_url``."""
    model: str | None = setting(None, files=True)
    """Hub id or directory of an instruction-tuned model; with ``base_url``, the name by which the server knows it.
    Required. FineMath used Llama-3.1-70B-Instruct (SmolLM2 §3.3.2), FineWeb-Edu Llama-3-70B-Instruct (FineWeb §4)."""
    revision: str | None = setting(None)
    """Commit of the hub model; pin it to get the same labels again."""
    prompt: str | None = setting(None, files=True)
    """Text file of your own with ``{document}`` in it, instead of the domain's prompt. Front matter can set ``scale``
    (highest score) and ``variants``."""
    reuse: tuple[str, ...] | None = setting(None, identity=False)
    """Labels of earlier runs (their ``reports/<step>/labels.jsonl.gz``), taken again where document, text, model,
    prompt and sampling are the same."""
    max_chars: int = setting(12_000, ge=100)
    """Characters of each document shown to the model; cut further when the context asks for it."""
    justification: bool = setting(True)
    """The model writes a short reason before the score, as FineMath's and FineWeb-Edu's annotators did; without it
    the reply is the score alone, which is several times faster."""
    justification_chars: int = setting(500, ge=20)
    """Longest reason in characters (the papers ask for at most 100 words)."""
    structured: bool = setting(True)
    """Constrain replies to a score that parses. A server that refuses it is asked in words, and its replies are read
    by their last score line; false does so from the start."""
    max_tokens: int | None = setting(None, ge=1)
    """Longest reply of a server in tokens; null: as many as the reason has characters. Raise it for models that think
    aloud."""
    temperature: float = setting(0.0, ge=0)
    """0 is greedy decoding."""
    top_p: float = setting(1.0, gt=0, le=1)
    """Share of the probability that is sampled from, where temperature is above 0."""
    seed: int = setting(0, ge=0)
    """Seed of the engine and of sampling."""
    chat: bool = setting(True)
    """Ask a server's chat endpoint; false: its completion endpoint, for models without a chat template."""
    max_model_len: int = setting(4096, ge=64)
    """Context in tokens of an engine started here: prompt, document and reply."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = setting("auto")
    """Type of the weights in an engine started here; auto takes the model's."""

    base_url: str | None = setting(None, identity=False)
    """Address of an OpenAI-compatible server, up to and with ``/v1``."""
    api_key_env: str | None = setting(None, identity=False)
    """Name of the environment variable that holds the server's key; null: no key."""
    concurrency: int = setting(64, ge=1, le=100_000, identity=False)
    """Requests to a server at the same time (of each rank)."""
    timeout: float = setting(300.0, gt=0, identity=False)
    """Seconds after which a request counts as unanswered."""
    retries: int = setting(5, ge=0, identity=False)
    """Further attempts after a timeout, a lost connection, 429 or 5xx, waiting ``backoff``, then twice as long, ..."""
    backoff: float = setting(1.0, ge=0, le=3600, identity=False)
    """Seconds before the first further attempt; a server's Retry-After counts where it is longer."""
    reask: int = setting(1, ge=0)
    """How often a reply without a readable score is answered by a request for the score alone."""
    give_up_after: int = setting(50, ge=1, identity=False)
    """Documents in a row that get no answer before the run stops, to go on when the server is back."""
    ranks: int | None = setting(None, ge=1, identity=False)
    """Tasks of ``backend=datatrove``; null: one for each file of documents. With vLLM servers started here: as many as
    can run, each on its own GPU. A killed run that goes on with another number, or another ``chunk``, asks anew."""
    chunk: int = setting(1000, ge=1, identity=False)
    """Documents in a checkpoint of ``backend=datatrove``."""
    server_start_seconds: int = setting(1800, ge=1, identity=False)
    """Longest wait for a server started by ``backend=datatrove``."""
    tensor_parallel_size: int = setting(1, ge=1, identity=False)
    """GPUs that share the model."""
    gpu_memory_utilization: float = setting(0.9, gt=0, le=1, identity=False)
    """Share of a GPU's memory that the engine may take."""
    enforce_eager: bool | None = setting(None, identity=False)
    """Skip graph capture and compilation; null: on a CPU only."""
    batch: int = setting(256, ge=1, identity=False)
    """Documents handed to the engine at once; labels are saved after each batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise ConfigError(
                "model: not set. Name the model that labels the documents: data.scorer.model=<hub id or path>."
            )
        if self.backend == "vllm" and self.base_url is not None:
            raise ConfigError(f"base_url={self.base_url}: is for backend=server or backend=datatrove, not for vllm.")
        if self.backend == "vllm" and not self.structured:
            raise ConfigError("structured=false: is for servers; the engine in this process is always constrained.")
        if self.backend == "server" and self.base_url is None:
            raise ConfigError("base_url: backend=server needs it, such as base_url=http://localhost:8000/v1.")
        if self.base_url is not None:
            _check_address(self.base_url)
        # a key given by mistake must not be shown
        if self.api_key_env is not None and not self.api_key_env.isidentifier():
            raise ConfigError("api_key_env: must be the name of an environment variable that holds the key.")

    def check(self, registry: Registry, where: str) -> None:
        """Refuse a model that is not there, a key that is not set and a missing engine, before any work."""
        try:
            self.api_key()
        except ConfigError as error:
            raise ConfigError(f"{where}.{error}") from None
        if self.base_url is None:  # a server has names of its own for its models
            check_local(str(self.model), f"{where}.model")
        self.check_libraries(where)

    def check_libraries(self, where: str) -> None:
        """Refuse to work without what the backend needs.

        Raises:
            MissingPluginError: naming what to install.
        """
        modules = {"vllm": {}, "server": SERVER_MODULES, "datatrove": DATATROVE_MODULES}[self.backend]
        extras: list[str] = [] if self.backend == "vllm" else [self.backend]
        if self.base_url is None:
            modules = {**modules, "vllm": "vllm (without a GPU: extra cpu)"}
            extras.append("gpu")
        check_modules(where, modules, f"smallwright-data-labels[{','.join(extras)}]")

    def api_key(self) -> str | None:
        """Return the server's key.

        Raises:
            ConfigError: the environment variable is not set, or holds what cannot be sent.
        """
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise ConfigError(f"api_key_env={self.api_key_env}: this environment variable is not set.")
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"api_key_env={self.api_key_env}: its value cannot be a key; it has other signs than ASCII."
            )
        return key
