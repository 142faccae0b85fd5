"""The step ``score_llm``: labels by a language model on vLLM, with replies that cannot fail to parse.

The reply is constrained while it is decoded (structured output): without a justification it is one digit from 0 to 5,
with one it is ``{"reason": "...", "score": n}`` in printable ASCII and of bounded length, so that the score always fits
into the tokens allowed. The engine runs in this process.
"""

import gc
import os
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.data.steps import StepContext, batched
from core.engines import vllm_environment
from core.errors import ConfigError, InputError, MissingPluginError, UserError
from datatrove.data import Document

from smallwright_scorers.config import SCORES
from smallwright_scorers.labels import Labeller

PLACEHOLDER = "{document}"
ASK_DIGIT = "\nAnswer with the number of points alone: one digit from 0 to 5."
ASK_REASON = (
    '\nAnswer with one JSON object: {"reason": "<at most 100 words on the points given and not given>", '
    '"score": <points, from 0 to 5>}.'
)
REFUSAL = re.compile(
    r"\b(?:i (?:cannot|can't|can not|am unable|am not able|won't)|i'm (?:sorry|unable|not able))\b", re.I
)
REPLY = re.compile(r'\{"reason": "(?P<reason>[^"]*)", "score": (?P<score>[0-5])\}')
STRUCTURE_CHARS = len('{"reason": "", "score": 0}')


def reply_pattern(chars: int) -> str:
    """Return the regular expression that a reply with a reason of at most ``chars`` characters must match."""
    # printable ASCII without quote and backslash: nothing to escape, and no token can be less than one character
    return r'\{"reason": "[ !#-\[\]-~]{1,' + str(chars) + r'}", "score": [0-5]\}'


def read_reply(text: str, justification: bool) -> dict[str, Any]:
    """Return the record of one reply: ``label``, and ``label_reason``, ``label_refused`` or ``label_failed``."""
    if not justification:
        whole = text.strip()
        if whole in map(str, SCORES):
            return {"label": int(whole)}
        return {"label": None, "label_failed": True}
    match = REPLY.fullmatch(text.strip())
    if match is None:
        return {"label": None, "label_failed": True}
    if REFUSAL.search(match["reason"]):
        return {"label": None, "label_refused": True, "label_reason": match["reason"]}
    return {"label": int(match["score"]), "label_reason": match["reason"]}


def read_prompt(name: str) -> str:
    """Return the text of a prompt of this package or of a file.

    Raises:
        InputError: there is no such prompt, or it has no place for the document.
    """
    own = files("smallwright_scorers.prompts").joinpath(f"{name}.txt")
    if re.fullmatch(r"\w+", name) and own.is_file():
        text = own.read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise InputError(
            f"data.scorer.prompt={name}: no such file and no such prompt. Prompts: finemath, fineweb_edu; or give a "
            f"text file with {PLACEHOLDER} in it."
        )
    if text.count(PLACEHOLDER) != 1:
        raise InputError(f"data.scorer.prompt={name}: the prompt must have {PLACEHOLDER} in it exactly once.")
    return text


class ScoreLlm(Labeller):
    """Labels a sample by a language model (``label_scorer: llm:<model>@<revision>#<prompt>``)."""

    @property
    def scorer(self) -> str:
        revision = f"@{self.config.revision}" if self.config.revision else ""
        return f"llm:{self.config.model}{revision}#{Path(self.config.prompt).stem}"

    def describe(self) -> dict[str, Any]:
        """Return model, revision and the prompt in full, which the labels rest on."""
        keys = ("model", "revision", "prompt", "max_chars", "max_model_len", "justification", "dtype", "seed")
        return {**{key: getattr(self.config, key) for key in keys}, "prompt_text": read_prompt(self.config.prompt)}

    def bind(self, context: StepContext) -> None:
        super().bind(context)
        read_prompt(self.config.prompt)
        model = self.config.model
        if model.startswith(("/", ".", "~")) and not Path(model).expanduser().is_dir():
            raise InputError(f"data.scorer.model={model}: there is no such directory.")

    def label(self, documents: Iterator[Document]) -> Iterator[tuple[str, dict[str, Any]]]:
        engine = None
        try:
            for batch in batched(documents, self.config.batch):
                engine = engine or _Engine(self.config)
                yield from zip((document.id for document in batch), engine.rate(batch), strict=True)
        finally:
            if engine is not None:
                engine.close()


class _Engine:
    """vLLM's offline engine with the prompt and the constraint of one configuration."""

    def __init__(self, config: Any) -> None:
        for name, value in vllm_environment().items():
            os.environ.setdefault(name, value)
        try:
            # heavy, and only this step wants it; the environment must be set before
            from vllm import LLM, SamplingParams
            from vllm.platforms import current_platform
            from vllm.sampling_params import StructuredOutputsParams
        except ImportError as error:
            raise MissingPluginError(
                f"data.scorer=llm needs vLLM ({error}): pip install 'smallwright-data-scorers[gpu]', or [cpu], "
                "or use data.scorer=rules."
            ) from None
        self._config = config
        eager = current_platform.is_cpu() if config.enforce_eager is None else config.enforce_eager
        model = str(Path(config.model).expanduser()) if config.model.startswith("~") else config.model
        try:
            self._llm = LLM(
                model=model,
                revision=config.revision,
                dtype=config.dtype,
                max_model_len=config.max_model_len,
                tensor_parallel_size=config.tensor_parallel_size,
                gpu_memory_utilization=config.gpu_memory_utilization,
                enforce_eager=eager,
                max_num_seqs=config.batch,
                seed=config.seed,
            )
        except (ValueError, OSError) as error:
            raise UserError(
                f"data.scorer.model={config.model}: vLLM cannot serve it with max_model_len={config.max_model_len} and "
                f"dtype={config.dtype}: {_first_line(error)}"
            ) from error
        self._tokenizer = self._llm.get_tokenizer()
        self._specials = sorted(
            {*self._tokenizer.all_special_tokens, *self._tokenizer.get_added_vocab()}, key=len, reverse=True
        )
        if config.justification:
            constraint = StructuredOutputsParams(regex=reply_pattern(config.justification_chars))
            self._reply_tokens = config.justification_chars + STRUCTURE_CHARS + 1
        else:
            constraint = StructuredOutputsParams(choice=[str(score) for score in SCORES])
            self._reply_tokens = 2
        self._prompt = read_prompt(config.prompt) + (ASK_REASON if config.justification else ASK_DIGIT)
        self._sampling = SamplingParams(temperature=0.0, max_tokens=self._reply_tokens, structured_outputs=constraint)

    def rate(self, documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
        """Yield the record of each document, in order."""
        from vllm.inputs import TokensPrompt

        prompts, cut = zip(*(self._fit(document.text) for document in documents), strict=True)
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], self._sampling, use_tqdm=False
        )
        for output, truncated in zip(outputs, cut, strict=True):
            record = read_reply(output.outputs[0].text, self._config.justification)
            if truncated:
                record["label_truncated"] = True
            yield record

    def close(self) -> None:
        """Give the engine's memory back to the process."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()
        cleanup_dist_env_and_memory()

    def _fit(self, text: str) -> tuple[list[int], bool]:
        """Return the prompt's ids with as much of the text as fits, and whether the text was cut."""
        limit = self._config.max_model_len - self._reply_tokens
        shown = self._defused(text[: self._config.max_chars])
        truncated = len(text) > self._config.max_chars
        while len(ids := self._ids(shown)) > limit:
            if not shown:
                raise ConfigError(
                    f"data.scorer.max_model_len={self._config.max_model_len}: the prompt has {len(ids)} tokens and the "
                    f"reply needs {self._reply_tokens}, which leaves nothing for the document. Set at least "
                    f"data.scorer.max_model_len={2 * (len(ids) + self._reply_tokens)}."
                )
            shown = shown[: min(len(shown) - 1, int(len(shown) * 0.95 * limit / len(ids)))]
            truncated = True
        return ids, truncated

    def _defused(self, text: str) -> str:
        """Take the model's own control tokens out of a page: they could end the turn and start another."""
        for token in self._specials:
            text = text.replace(token, " ")
        return text

    def _ids(self, text: str) -> list[int]:
        content = self._prompt.replace(PLACEHOLDER, text)
        if getattr(self._tokenizer, "chat_template", None):
            turn: list[Any] = [{"role": "user", "content": content}]
            chat = self._tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
            return self._tokenizer(str(chat), add_special_tokens=False)["input_ids"]
        return self._tokenizer(content + "\n")["input_ids"]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and "validation error" in lines[0]:  # pydantic heads its messages with a count
        lines = [lines[1].removeprefix("Value error, ").split(" [type=")[0]]
    return (lines[0] if lines else type(error).__name__)[:300]
