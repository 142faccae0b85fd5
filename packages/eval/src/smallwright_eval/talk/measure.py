"""Measure one combination in a process that does nothing else: ``python -m smallwright_eval.talk.measure <job>``."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.interfaces import Job, NamedModel
from core.stock import StockArchitecture
from core.writing import write_json

from smallwright_eval.talk import loading
from smallwright_eval.talk.config import EngineConfig
from smallwright_eval.talk.energy import Meter

RESULT = "result.json"

Once = Callable[[], tuple[float, float]]
"""One measurement: seconds to the first token of each sequence, and seconds from there to the last one."""


def main(path: str) -> int:
    """Do what a job says and write what was measured beside it."""
    job = Job.read(Path(path))
    asked: dict[str, Any] = dict(job.record)
    assert job.architecture is not None
    own = None if isinstance(job.architecture, StockArchitecture) else job.architecture
    model = NamedModel(
        named=str(job.inputs["model"]), directory=job.inputs["model"], planned=job.architecture, architecture=own
    )
    write_json(job.output / RESULT, measure(model, asked))
    return 0


def measure(model: NamedModel, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what was measured of a model.

    Args:
        asked: ``engine``, ``dtype``, ``device``, ``batch``, ``prompt_tokens``, ``new_tokens``, ``repeats``,
            ``compile``, ``trust_remote_code``.
    """
    import torch

    began = time.monotonic()
    tokenizer = loading.tokenizer(model, asked["trust_remote_code"])
    device = loading.device_of(asked["device"])
    about, once = (_vllm if asked["engine"] == "vllm" else _transformers)(model, asked, tokenizer)
    loaded = time.monotonic() - began
    once()  # the first one makes buffers, and chooses kernels
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    meter = Meter(device)
    meter.begin()
    wall, cpu = time.monotonic(), time.process_time()
    times = [once() for _ in range(asked["repeats"])]
    wall, cpu, joules = time.monotonic() - wall, time.process_time() - cpu, meter.joules()
    batch, prompt, new = asked["batch"], asked["prompt_tokens"], asked["new_tokens"]
    made = asked["repeats"] * batch * new
    return {
        **about,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "load_s": round(loaded, 3),
        "first_token_s": spread([first for first, _ in times]),
        "prefill_tokens_per_s": spread([batch * prompt / first for first, _ in times]),
        "decode_tokens_per_s": spread([batch * (new - 1) / rest for _, rest in times]),
        "peak_memory_bytes": peak_memory(),
        "peak_device_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "cpu_percent": round(100 * cpu / wall / (os.cpu_count() or 1), 1),
        "joules_per_1000_tokens": None if joules is None else round(1000 * joules / made, 3),
        "energy_from": " and ".join(meter.sources) or meter.why_not,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return the median of several measurements, the least and the greatest."""
    rounded = {"median": statistics.median(values), "least": min(values), "greatest": max(values)}
    return {key: float(f"{value:.5g}") for key, value in rounded.items()}


def peak_memory() -> int:
    """Return the most memory in bytes that this program took at once."""
    try:  # what the process was before it became this program is not counted here
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _prompts(model: NamedModel, asked: dict[str, Any], vocabulary: int) -> list[list[int]]:
    """Return prompts of random ids: what stands in them makes no difference to the time."""
    import torch

    drawn = torch.Generator().manual_seed(0)
    shape = (asked["batch"], asked["prompt_tokens"])
    found: list[list[int]] = torch.randint(vocabulary, shape, generator=drawn).tolist()
    return found


def _transformers(model: NamedModel, asked: dict[str, Any], tokenizer: Any) -> tuple[dict[str, Any], Once]:
    import torch
    import transformers

    config = EngineConfig(dtype=asked["dtype"], device=asked["device"], trust_remote_code=asked["trust_remote_code"])
    loaded = loading.transformers_model(model, config)
    prompts_BL = torch.tensor(_prompts(model, asked, len(tokenizer)), device=loaded.device)
    settings = transformers.GenerationConfig(
        max_new_tokens=asked["new_tokens"], do_sample=False, eos_token_id=None, pad_token_id=0
    )
    loaded.generation_config.eos_token_id = None  # answers are as long as they are asked to be

    def once() -> tuple[float, float]:
        stamps = []

        def stamp(ids_BL: Any, scores: Any, **_: Any) -> Any:
            if ids_BL.is_cuda:
                torch.cuda.synchronize()
            stamps.append(time.monotonic())
            return torch.zeros(len(ids_BL), dtype=torch.bool, device=ids_BL.device)

        began = time.monotonic()
        with torch.inference_mode():
            loaded.generate(
                prompts_BL,
                attention_mask=torch.ones_like(prompts_BL),
                generation_config=settings,
                stopping_criteria=[stamp],
            )
        return stamps[0] - began, stamps[-1] - stamps[0]

    return {"version": transformers.__version__, "dtype": str(loaded.dtype).removeprefix("torch.")}, once


def _vllm(model: NamedModel, asked: dict[str, Any], tokenizer: Any) -> tuple[dict[str, Any], Once]:
    import importlib.metadata

    from smallwright_eval import engines
    from smallwright_eval.talk import by_vllm

    batch, length = asked["batch"], asked["prompt_tokens"] + asked["new_tokens"] + 1
    dtype = loading.dtype_of(asked["dtype"], loading.device_of("auto"))
    one = model.planned.kv_cache_bytes(length, 4 if dtype == "float32" else 2) or 2**26
    llm = by_vllm.started(
        model,
        dtype=asked["dtype"],
        trust_remote_code=asked["trust_remote_code"],
        max_model_len=min(length, loading.positions(model)),
        max_num_seqs=batch,
        # All prompts are read in one step, as Transformers reads them.
        max_num_batched_tokens=min(max(4096, batch * asked["prompt_tokens"]), 2**16),
        # What the batch needs, and a block more for each sequence; whatever is kept for others would count as memory.
        kv_cache_memory_bytes=int(1.2 * batch * one) + 2**26,
        enforce_eager=not asked["compile"],
        enable_prefix_caching=False,
    )
    prompts = _prompts(model, asked, len(tokenizer))

    def once() -> tuple[float, float]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        settings = SamplingParams(
            temperature=0,
            max_tokens=asked["new_tokens"],
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        engine, first = llm.llm_engine, 0.0
        begun: set[str] = set()
        began = time.monotonic()
        for number, prompt in enumerate(prompts):
            engine.add_request(str(number), {"prompt_token_ids": prompt}, settings.clone())
        while engine.has_unfinished_requests():
            found = {output.request_id for output in engine.step() if output.outputs[0].token_ids}
            if not found <= begun:
                begun |= found
                first = time.monotonic()
        return first - began, time.monotonic() - first

    return {"version": importlib.metadata.version(engines.installed_vllm()), "dtype": dtype}, once


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
