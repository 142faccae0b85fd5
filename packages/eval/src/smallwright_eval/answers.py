"""What the model says to a few prompts, greedy and sampled, on the engine that answers the tasks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import store
from core.errors import ArtifactError, ConfigError, InputError

from smallwright_eval.config import LMEvalConfig

FILE = "answers.jsonl"
PART = "answers"
MOST_PROMPTS = 64
"""They are for people to read; what is to be counted is a task."""


def prompts(config: LMEvalConfig, where: str = "eval") -> tuple[str, ...]:
    """Return the prompts: those of ``prompts``, or of ``prompts_file``.

    Raises:
        UserError: the file is not there, has none or too many, or a line of it is wrong.
    """
    if config.prompts_file is None:
        found, owner = config.prompts, f"{where}.prompts"
    else:
        owner = f"{where}.prompts_file={config.prompts_file}"
        found = tuple(_of_file(Path(config.prompts_file), owner))
        if not found:
            raise InputError(f"{owner}: has no prompts. Write one a line.")
    if len(found) > MOST_PROMPTS:
        raise ConfigError(f"{owner}: {len(found)} prompts, and a page shows {MOST_PROMPTS} at most. Leave some out.")
    return found


def _of_file(path: Path, owner: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{owner}: cannot be read ({type(error).__name__}). Give a text file, one a line.") from error
    if path.suffix != ".jsonl":
        return [line for line in text.splitlines() if line.strip()]
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # other signs that end lines may stand in a JSON string
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        prompt = row.get("prompt") if isinstance(row, dict) else row
        if not isinstance(prompt, str) or not prompt.strip():
            raise InputError(f'{owner}: line {number} is no prompt. Write a JSON string, or {{"prompt": "..."}}.')
        found.append(prompt)
    return found


def takes_turns(config: LMEvalConfig, artifact: Path, tokenizer: Any) -> bool:
    """Whether the model gets a prompt as a user's turn: it has learned its chat template, or the tasks use it.

    One that was pretrained here has a template too, and has not learned it.
    """
    if not getattr(tokenizer, "chat_template", None):
        return False
    try:
        manifest = store.load_manifest(artifact)
    except ArtifactError:
        manifest = None
    pretrained = manifest is not None and manifest["folder"] in ("pretrain", "init")
    return config.apply_chat_template or not pretrained


def ask(lm: Any, config: LMEvalConfig, asked: Sequence[str], turns: bool) -> list[dict[str, Any]]:
    """Return two answers to each prompt, in their order: the likeliest one, and a sampled one.

    The same settings give the same answers, whatever was asked before.

    Args:
        lm: Model as lm-eval's ``TemplateLM``.
        config: Length, temperature and seed.
        asked: The prompts.
        turns: Whether the model gets them as a user's turn; a prompt that its template refuses is completed.

    Returns:
        ``prompt``, ``form`` (``chat`` or ``text``), ``decoding`` (``greedy`` or ``sampled``), ``text``, and ``ended``,
        False where it was cut at ``answer_tokens``.
    """
    forms = [_form(lm, prompt, turns) for prompt in asked]
    # A model with few positions keeps half of them for the prompt.
    budget = min(config.answer_tokens, max(1, lm.max_length // 2))
    ids = [context[-(lm.max_length - budget) :] for _, context in forms]
    generate = _by_vllm if config.engine == "vllm" else _by_transformers
    greedy, sampled = generate(lm, ids, budget, config.answer_temperature, config.seed)
    rows = []
    for place, (prompt, (form, _)) in enumerate(zip(asked, forms, strict=True)):
        for decoding, (tokens, ended) in (("greedy", greedy[place]), ("sampled", sampled[place])):
            text = lm.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            rows.append({"prompt": prompt, "form": form, "decoding": decoding, "text": text, "ended": ended})
    return rows


def _form(lm: Any, prompt: str, turns: bool) -> tuple[str, list[int]]:
    """Return how the model gets a prompt, and its token ids."""
    if turns:
        try:
            messages = [{"role": "user", "content": prompt}]
            ids = lm.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            return "chat", list(ids)
        except Exception as error:  # a template is a program of its own: it raises what it likes
            print(f"the chat template refuses a prompt, which is completed instead: {error}", flush=True)
    return "text", list(lm.tok_encode(prompt)) or [lm.prefix_token_id]


Generated = list[tuple[list[int], bool]]
"""Of each prompt the ids of its answer, and whether the model ended it."""


def _by_vllm(lm: Any, ids: list[list[int]], budget: int, temperature: float, seed: int) -> tuple[Generated, Generated]:
    from vllm import SamplingParams

    common: dict[str, Any] = {"max_tokens": budget, "detokenize": False}
    # A seed of its own makes an answer the same in whichever batch it is made.
    ways = [SamplingParams(temperature=0, **common), SamplingParams(temperature=temperature, seed=seed, **common)]
    outputs = lm._model_generate([*ids, *ids], generate=True, sampling_params=[way for way in ways for _ in ids])
    made = [(list(output.outputs[0].token_ids), output.outputs[0].finish_reason == "stop") for output in outputs]
    return made[: len(ids)], made[len(ids) :]


def _by_transformers(
    lm: Any, ids: list[list[int]], budget: int, temperature: float, seed: int
) -> tuple[Generated, Generated]:
    import torch
    from transformers import GenerationConfig

    ends = _ends(lm)
    padding = lm.tokenizer.pad_token_id if lm.tokenizer.pad_token_id is not None else (ends or [0])[0]
    longest = max(map(len, ids))
    prompts_BL = torch.tensor([[padding] * (longest - len(one)) + one for one in ids], device=lm.device)
    mask_BL = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids], device=lm.device)
    made = []
    for sampling in ({"do_sample": False}, {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}):
        settings = GenerationConfig(max_new_tokens=budget, eos_token_id=ends or None, pad_token_id=padding, **sampling)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            rows_BL = lm.model.generate(prompts_BL, attention_mask=mask_BL, generation_config=settings)
        made.append([_until(row[longest:].tolist(), ends) for row in rows_BL])
    return made[0], made[1]


def _ends(lm: Any) -> list[int]:
    """Return the ids that end an answer, as vLLM finds them."""
    found = getattr(lm.model.generation_config, "eos_token_id", None)
    found = found if isinstance(found, list) else [found]
    return list(dict.fromkeys(one for one in (*found, lm.tokenizer.eos_token_id) if one is not None))


def _until(tokens: list[int], ends: Sequence[int]) -> tuple[list[int], bool]:
    """Return an answer without what pads it, and whether the model ended it."""
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    return (tokens, False) if end is None else (tokens[:end], True)
