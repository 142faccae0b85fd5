"""The engines a model is evaluated on, as lm-eval's own model classes: vLLM and Transformers."""

import contextlib
import functools
import importlib.metadata
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core.engines import allocator_environment, hub_environment, importing, vllm_distribution, vllm_environment
from core.errors import ConfigError, InputError, UserError, nearest
from core.interfaces import Architecture
from tqdm import tqdm

from smallwright_eval import cuts, memory
from smallwright_eval.config import LMEvalConfig

SMALLEST_CPU_CACHE_GIB = 0.5
ROWS_OF_A_TRANSFORMERS_BATCH = 32
GIB = 1024**3


def environment(config: LMEvalConfig) -> dict[str, str]:
    """Return variables that must be set before vLLM and the Hugging Face libraries are imported."""
    engine = vllm_environment(eager=config.enforce_eager)  # of no harm where Transformers is chosen
    variables = {
        **allocator_environment(),
        # Threads that wait sleep: spinning ones took four times as long where other work wanted the cores.
        "OMP_WAIT_POLICY": "PASSIVE",
        **engine,
        **hub_environment(config.allow_network and config.data_dir is None),
    }
    # This one overrules ``kv_cache_gib``, which is for the user alone to do.
    del variables["VLLM_CPU_KVCACHE_SPACE"]
    return variables


def model_directory(model: Path) -> Path:
    """Return the Hugging Face directory of a model artifact, or ``model`` itself where it is one.

    Raises:
        InputError: nothing there, no weights, or weights only as pickles, which can run code when read.
    """
    directory = model / "hf" if (model / "hf").is_dir() else model
    if not (directory / "config.json").is_file():
        raise InputError(f"model={directory}: no config.json there. Give a directory saved by save_pretrained.")
    if not any(directory.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern))
        if pickles:
            raise InputError(
                f"model={directory}: {pickles[0]} is a pickle, which can run code when it is read. Convert it where "
                "you trust it: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) writes safetensors."
            )
        raise InputError(f"model={directory}: no *.safetensors there.")
    return directory


def register_model_class(architecture: Architecture | None) -> None:
    """Make the chosen architecture known to Transformers' Auto classes, where it is not one of theirs."""
    if architecture is None:
        return
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = architecture.hf_config()
    if config.model_type not in CONFIG_MAPPING:
        AutoConfig.register(config.model_type, type(config))
        AutoModelForCausalLM.register(type(config), architecture.hf_model_class(), exist_ok=True)


def check_length(config: LMEvalConfig, positions: int | None, where: str = "eval") -> None:
    """Refuse inputs longer than the model can read.

    Args:
        positions: Of the model; None: it does not say.

    Raises:
        ConfigError: ``max_model_len`` is above them.
    """
    if positions is not None and config.max_model_len is not None and config.max_model_len > positions:
        raise ConfigError(
            f"{where}.max_model_len={config.max_model_len}: above the model's {positions} positions. Set "
            f"{where}.max_model_len={positions}, or null, which is the same."
        )


def start(config: LMEvalConfig, model: Path, architecture: Architecture | None, advance: Callable[[int], None]) -> Any:
    """Load the model and return it as an lm-eval ``TemplateLM``.

    Args:
        model: Hugging Face directory.
        advance: Called with the number of requests just answered.

    Raises:
        ConfigError: the engine is not installed, or does not know the model's class.
    """
    register_model_class(architecture)
    check_length(config, json.loads((model / "config.json").read_text()).get("max_position_embeddings"))
    check_numbers(config, model)
    try:
        lm = (_start_vllm if config.engine == "vllm" else _start_transformers)(config, model)
        lm.advance = advance
        return lm
    except UserError:
        raise
    except (RuntimeError, MemoryError) as error:
        if not memory.ran_out(error):
            raise
        raise memory.advice(config, error) from error
    except ValueError as error:  # what both engines raise for a model or a length that does not fit
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(f"eval.engine={config.engine} cannot load {model}: {reason}") from error


def describe(config: LMEvalConfig, model: Path) -> dict[str, Any]:
    """Return what the table of scores says of the engine: ``name``, ``version``, ``dtype``, ``device``,
    ``quantization`` of the weights (None: not quantised) and ``settings``, those that can move a score.
    """
    name = config.engine
    if name == "vllm":
        name = installed_vllm()
    return {
        "name": config.engine,
        "version": importlib.metadata.version(name),
        "dtype": resolve_dtype(config, model),
        "device": "cuda" if has_gpu() else "cpu",
        "quantization": quantization(model),
        "settings": {key: getattr(config, key) for key in ("max_model_len", "apply_chat_template", "seed")},
    }


def quantization(model: Path) -> str | None:
    """Return how the weights of a folder are quantised, as its ``config.json`` says; None: they are not."""
    described = json.loads((model / "config.json").read_text(encoding="utf-8")).get("quantization_config")
    if not isinstance(described, dict):
        return None
    known = [str(described[key]) for key in ("quant_method", "format") if described.get(key)]
    return " ".join(known) or "quantised"


def resolve_dtype(config: LMEvalConfig, model: Path) -> str:
    """Return the dtype to compute in: ``auto`` is what fits the device and the weights.

    The kernels for quantised weights take no float32, on a CPU neither.
    """
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if has_gpu() or quantization(model) is not None else "float32"


def check_numbers(config: LMEvalConfig, model: Path) -> None:
    """Refuse numbers that quantised weights cannot be computed in, and say which ones were taken.

    Raises:
        ConfigError: ``dtype=float32`` with quantised weights on vLLM.
    """
    kind = quantization(model)
    if kind is None:
        return
    if config.engine == "vllm" and config.dtype == "float32":
        raise ConfigError(
            f"eval.dtype=float32: the weights of {model} are quantised ({kind}), and vLLM computes with them in "
            "bfloat16. Leave eval.dtype=auto, or set eval.dtype=bfloat16."
        )
    print(f"the weights are quantised ({kind}): computed in {resolve_dtype(config, model)}", flush=True)


def installed_vllm() -> str:
    """Return the name of the distribution that brings vLLM here.

    Raises:
        ConfigError: none does.
    """
    name = vllm_distribution()
    if name is None:
        raise ConfigError(
            'eval.engine=vllm: vLLM is not installed. pip install "smallwright-eval[cpu]" on a CPU, '
            '"smallwright-eval[gpu]" on a GPU, or take eval.engine=transformers.'
        )
    return name


def _start_vllm(config: LMEvalConfig, model: Path) -> Any:
    with importing(), _vllm_found_by_name(installed_vllm()):
        from lm_eval.models.vllm_causallms import VLLM
    _check_known_to_vllm(model, config.trust_remote_code)
    _check_known_to_transformers(model, config.trust_remote_code)

    class MeteredVLLM(cuts.counting(VLLM, spare=-1)):  # type: ignore[misc]
        """lm-eval's vLLM class, which also says how far it is and what it had to cut."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            generate = self.model.generate
            bar = functools.partial(_Answered, advance=lambda count: self.advance(count))

            def generate_and_tell(*asked: Any, use_tqdm: Any = None, **settings: Any) -> Any:
                return generate(*asked, use_tqdm=bar, **settings)

            self.model.generate = generate_and_tell

    settings: dict[str, Any] = {
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "max_num_batched_tokens": config.max_num_batched_tokens,
        "tensor_parallel_size": config.tensor_parallel_size,
        "enforce_eager": config.enforce_eager,
        # A directory may hold pickles too; they are never read.
        "load_format": "safetensors",
        # Requests for log-probabilities of a prompt never read the prefix cache, so filling it only costs time.
        "enable_prefix_caching": False,
        "disable_log_stats": True,
    }
    if has_gpu():
        settings["gpu_memory_utilization"] = config.gpu_memory_utilization
    if config.kv_cache_gib is not None:
        settings["kv_cache_memory_bytes"] = int(config.kv_cache_gib * GIB)
    elif not has_gpu():
        settings["kv_cache_memory_bytes"] = _cpu_cache_bytes(config, model)
    return MeteredVLLM(
        pretrained=str(model),
        dtype=resolve_dtype(config, model),
        trust_remote_code=config.trust_remote_code,
        batch_size=config.batch_size,
        seed=config.seed,
        **settings,
    )


class _Answered(tqdm):
    """vLLM's bar of a batch, which tells of each answer and draws nothing: a batch can take an hour."""

    def __init__(self, *args: Any, advance: Callable[[int], None], **kwargs: Any) -> None:
        self._advance = advance
        super().__init__(*args, **{**kwargs, "file": io.StringIO()})

    def update(self, n: float | None = 1) -> bool | None:
        """Count ``n`` more, which were answered; or, of the bar around prompts that are read, nothing."""
        if self.iterable is None:
            self._advance(int(n or 0))
        return super().update(n)


def _start_transformers(config: LMEvalConfig, model: Path) -> Any:
    with importing():
        from lm_eval.models.huggingface import HFLM

    _check_known_to_transformers(model, config.trust_remote_code)

    class MeteredHFLM(cuts.counting(HFLM, spare=1)):  # type: ignore[misc]
        """lm-eval's Transformers class, which also says how far it is and what it had to cut."""

        def _model_call(self, inps: Any, *args: Any, **kwargs: Any) -> Any:
            logits = super()._model_call(inps, *args, **kwargs)
            self.advance(len(inps))
            return logits

        def _model_generate(self, context: Any, *args: Any, **kwargs: Any) -> Any:
            answers = super()._model_generate(context, *args, **kwargs)
            self.advance(len(context))
            return answers

        def _loglikelihood_tokens(self, requests: Any, *args: Any, **kwargs: Any) -> Any:
            answers: dict[int, Any] = {}
            for places in apart(requests):
                asked = [requests[place] for place in places]
                answers.update(zip(places, super()._loglikelihood_tokens(asked, *args, **kwargs), strict=True))
            return [answers[place] for place in range(len(requests))]

    return MeteredHFLM(
        pretrained=str(model),
        dtype=resolve_dtype(config, model),
        device="cuda" if has_gpu() else "cpu",
        batch_size=min(config.batch_size, ROWS_OF_A_TRANSFORMERS_BATCH),
        max_length=config.max_model_len,
        trust_remote_code=config.trust_remote_code,
        use_safetensors=True,
    )


def apart(requests: Sequence[tuple[Any, list[int], list[int]]]) -> list[list[int]]:
    """Return the places of requests in as few lists as keep lm-eval's Transformers class from mistaking them.

    It computes requests once whose tokens but the last are the same, and takes of all of them as many log-probabilities
    as the first has in its continuation: wrong where the same text is parted otherwise into prompt and continuation.
    """
    lengths: dict[tuple[int, ...], list[int]] = {}
    lists: list[list[int]] = []
    for place, (_, context, continuation) in enumerate(requests):
        known = lengths.setdefault((*context, *continuation[:-1]), [])
        if len(continuation) not in known:
            known.append(len(continuation))
        turn = known.index(len(continuation))
        lists += [[] for _ in range(turn + 1 - len(lists))]
        lists[turn].append(place)
    return lists


def _cpu_cache_bytes(config: LMEvalConfig, model: Path) -> int:
    """Return the bytes of the keys and values of two inputs of the greatest length; at least half a GiB."""
    described = json.loads((model / "config.json").read_text())
    heads = described.get("num_attention_heads") or 1
    width = described.get("head_dim") or described.get("hidden_size", 0) // heads
    layers, positions = described.get("num_hidden_layers", 0), described.get("max_position_embeddings", 0)
    numbers = 2 * layers * (described.get("num_key_value_heads") or heads) * width * (config.max_model_len or positions)
    return max(int(SMALLEST_CPU_CACHE_GIB * GIB), 2 * numbers * (4 if resolve_dtype(config, model) == "float32" else 2))


def _check_known_to_vllm(model: Path, trust_remote_code: bool) -> None:
    from vllm import ModelRegistry
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    described = json.loads((model / "config.json").read_text())
    wanted = described.get("architectures") or []
    known = set(ModelRegistry.get_supported_archs())
    if wanted and not known.intersection(wanted) and not (trust_remote_code and "auto_map" in described):
        raise ConfigError(
            f"model={model}: vLLM does not know its class {wanted[0]}.{nearest(wanted[0], known)} Install the plugin "
            "that serves it (an entry point of vllm.general_plugins), or take eval.engine=transformers."
        )


def _check_known_to_transformers(model: Path, trust_remote_code: bool) -> None:
    """Refuse what would run the directory's own code: Transformers would ask at the terminal."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    described = json.loads((model / "config.json").read_text())
    kind = described.get("model_type", "")
    if kind not in CONFIG_MAPPING and not (trust_remote_code and "auto_map" in described):
        raise ConfigError(
            f"model={model}: no installed plugin knows its model_type {kind!r}.{nearest(kind, CONFIG_MAPPING)} Install "
            "its plugin, or let the directory run its own code with eval.trust_remote_code=true."
        )


@contextlib.contextmanager
def _vllm_found_by_name(distribution: str) -> Iterator[None]:
    """lm-eval looks up the version of a distribution called ``vllm``; on a CPU it is called ``vllm-cpu``."""
    original = importlib.metadata.version

    def version(distribution_name: str) -> str:
        # vLLM chooses its CPU platform when its version holds "cpu".
        return original(distribution) + "+cpu" if distribution_name == "vllm" else original(distribution_name)

    if distribution == "vllm":
        yield
        return
    importlib.metadata.version = version
    try:
        yield
    finally:
        importlib.metadata.version = original


def has_gpu() -> bool:
    """Return whether torch sees a GPU."""
    import torch

    return torch.cuda.is_available()
