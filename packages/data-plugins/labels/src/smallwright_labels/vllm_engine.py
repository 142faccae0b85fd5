"""Labels from vLLM's offline engine in this process, with replies that cannot fail to parse.

The reply is constrained while it is decoded: without a justification it is the score alone, with one it is
``{"reason": "...", "score": n}`` in printable ASCII and of bounded length, so that the score always fits into the
tokens allowed.
"""

import gc
from collections.abc import Iterator
from typing import Any

from core.data.steps import batched
from core.engines import importing, set_missing, vllm_environment
from core.errors import ConfigError, MissingPluginError, UserError

from smallwright_labels.label_files import Item, Record
from smallwright_labels.prompting import REMOVED, Prompt, Prompts, shown_text
from smallwright_labels.replies import (
    ASK_DIGIT,
    NO_PROMPT,
    STRUCTURE_CHARS,
    asking,
    read_reply,
    reply_pattern,
)


class VllmBackend:
    """Labels documents batch by batch."""

    def __init__(self, config: Any, prompts: Prompts) -> None:
        self._config, self._prompts = config, prompts

    def label(self, items: Iterator[Item]) -> Iterator[tuple[Item, Record]]:
        """Yield each item with its record.

        Raises:
            UserError: vLLM is not installed, or cannot serve the model.
        """
        engine = None
        try:
            for batch in batched(items, self._config.batch):  # type: ignore[type-var]
                asked = [(item, self._prompts.of(item.metadata)) for item in batch]
                yield from ((item, {"label": None, "outcome": NO_PROMPT}) for item, prompt in asked if prompt is None)
                known = [(item, prompt) for item, prompt in asked if prompt is not None]
                if known:
                    engine = engine or _Engine(self._config, self._prompts.scale)
                    records = engine.rate([(item.text, prompt) for item, prompt in known])
                    yield from zip((item for item, _ in known), records, strict=True)
        finally:
            if engine is not None:
                engine.close()


class _Engine:
    """vLLM's offline engine with the constraint of one configuration."""

    def __init__(self, config: Any, scale: int) -> None:
        try:
            eager = config.eager()
            set_missing(vllm_environment(eager=eager))
            # Heavy, and only this backend wants it; the environment must be set before.
            with importing():
                from vllm import LLM, SamplingParams
                from vllm.sampling_params import StructuredOutputsParams
        except ImportError as error:
            raise MissingPluginError(
                f"data.scorer=llm needs vLLM ({error}): pip install 'smallwright-data-labels[gpu]', or [cpu], "
                "or use a server (data.scorer.backend=server), or data.scorer=rules."
            ) from None
        self._config = config
        try:
            self._llm = LLM(
                model=config.model,
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
        self._specials = control_tokens(self._tokenizer)
        if config.justification:
            constraint = StructuredOutputsParams(regex=reply_pattern(scale, config.justification_chars))
            self._reply_tokens = config.justification_chars + STRUCTURE_CHARS + 1
            self._ask = asking(scale, True, True)
        else:
            constraint = StructuredOutputsParams(choice=[str(score) for score in range(scale + 1)])
            self._reply_tokens = len(str(scale)) + 1
            self._ask = ASK_DIGIT.replace("{scale}", str(scale))
        self._sampling = SamplingParams(
            temperature=config.temperature,
            top_p=config.top_p,
            seed=config.seed,
            max_tokens=self._reply_tokens,
            structured_outputs=constraint,
        )

    def rate(self, documents: list[tuple[str, Prompt]]) -> Iterator[Record]:
        """Yield the record of each text, in order."""
        from vllm.inputs import TokensPrompt

        prompts, cut = zip(*(self._fit(text, prompt) for text, prompt in documents), strict=True)
        outputs = self._llm.generate(
            [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts], self._sampling, use_tqdm=False
        )
        for (_, prompt), output, truncated in zip(documents, outputs, cut, strict=True):
            reply = output.outputs[0]
            record = {**read_reply(reply.text, prompt.scale, reply.finish_reason), "prompt": prompt.tag}
            if truncated:
                record["truncated"] = True
            yield record

    def close(self) -> None:
        """Give the engine's memory back to the process."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()
        cleanup_dist_env_and_memory()

    def _fit(self, text: str, prompt: Prompt) -> tuple[list[int], bool]:
        """Return the prompt's ids with as much of the text as fits, and whether the text was cut."""
        limit = self._config.max_model_len - self._reply_tokens
        shown, truncated = shown_text(text, self._config.max_chars)
        shown = self._defused(shown)
        while len(ids := self._ids(prompt.filled(shown, self._ask))) > limit:
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
            text = text.replace(token, REMOVED)
        return text

    def _ids(self, content: str) -> list[int]:
        if self._config.chat and getattr(self._tokenizer, "chat_template", None):
            turn: list[Any] = [{"role": "user", "content": content}]
            chat = self._tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
            return self._tokenizer(str(chat), add_special_tokens=False)["input_ids"]
        return self._tokenizer(content + "\n")["input_ids"]


def control_tokens(tokenizer: Any) -> list[str]:
    """Return what a tokenizer reads as a token of its own, longest first.

    Runs of blanks, which some tokenizers add, are left out: they control nothing, and code needs them.
    """
    added = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    return sorted(filter(str.strip, added), key=lambda token: (-len(token), token))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and "validation error" in lines[0]:  # pydantic heads its messages with a count
        lines = [lines[1].removeprefix("Value error, ").split(" [type=")[0]]
    return (lines[0] if lines else type(error).__name__)[:300]
