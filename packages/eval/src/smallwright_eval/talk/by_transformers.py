"""Answers of Transformers."""

from collections.abc import Callable, Sequence
from typing import Any

from core.model_command import NamedModel

from smallwright_eval.talk import loading
from smallwright_eval.talk.config import EngineConfig
from smallwright_eval.talk.loading import Sampling
from smallwright_eval.talk.talker import Answer, Talker


class TransformersTalker(Talker):
    """A model on Transformers. What it has read of a conversation it does not read again for the next turn."""

    def __init__(self, model: NamedModel, config: EngineConfig, tokenizer: Any) -> None:
        import transformers

        self.tokenizer = tokenizer
        self.model = loading.transformers_model(model, config)
        self.ends = _ends(self.model, tokenizer)
        dtype = str(self.model.dtype).removeprefix("torch.")
        self.about = f"transformers {transformers.__version__}, {dtype} on {self.model.device.type}"
        self._read: list[int] = []
        self._cache: Any = None

    def stream(self, prompt: Sequence[int], sampling: Sampling, emit: Callable[[int], None]) -> bool:
        import torch

        cache, self._cache = self._cache_of(prompt), None  # an answer that is stopped leaves a cache with a hole
        streamer = _Streamer(self.ends, emit)
        prompt_BL = torch.tensor([list(prompt)], device=self.model.device)
        with torch.inference_mode():
            rows_BL = self.model.generate(
                prompt_BL,
                attention_mask=torch.ones_like(prompt_BL),
                past_key_values=cache,
                generation_config=self._settings(sampling),
                streamer=streamer,
            )
        self._cache, self._read = cache, rows_BL[0, :-1].tolist()
        return streamer.ended

    def answer(self, prompts: Sequence[Sequence[int]], sampling: Sampling, n: int, seed: int) -> list[list[Answer]]:
        import torch

        padding, longest = self._padding(), max(map(len, prompts))
        rows = [list(prompt) for prompt in prompts for _ in range(n)]
        prompts_BL = torch.tensor([[padding] * (longest - len(row)) + row for row in rows])
        mask_BL = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(seed)
            made_BL = self.model.generate(
                prompts_BL.to(self.model.device),
                attention_mask=mask_BL.to(self.model.device),
                generation_config=self._settings(sampling),
            )
        found = [self._until_its_end(row[longest:].tolist()) for row in made_BL]
        return [found[place : place + n] for place in range(0, len(found), n)]

    def seed(self, seed: int) -> None:
        import torch

        torch.manual_seed(seed)

    def _settings(self, sampling: Sampling) -> Any:
        from transformers import GenerationConfig

        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            repetition_penalty=sampling.repetition_penalty,
            eos_token_id=self.ends or None,
            pad_token_id=self._padding(),
            **drawn,
        )

    def _padding(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else (self.ends or [0])[0]

    def _cache_of(self, prompt: Sequence[int]) -> Any:
        """Return the keys and values of the beginning that a prompt shares with what was read before."""
        from transformers import DynamicCache

        same = next((i for i, (one, other) in enumerate(zip(prompt, self._read)) if one != other), None)  # noqa: B905
        same = min(len(prompt) - 1, len(self._read) if same is None else same)
        cache = self._cache
        if cache is None or same == 0 or any(getattr(layer, "is_sliding", False) for layer in cache.layers):
            return DynamicCache(config=self.model.config)
        if more := cache.get_seq_length() - same:
            cache.crop(-more)
        return cache

    def _until_its_end(self, tokens: list[int]) -> Answer:
        end = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        return Answer(tokens=tokens[:end], ended=end is not None)


class _Streamer:
    """What Transformers tells of each token: first the prompt, then one token after another."""

    def __init__(self, ends: Sequence[int], emit: Callable[[int], None]) -> None:
        self.ends, self.emit = ends, emit
        self.ended = False
        self._prompt = True

    def put(self, value: Any) -> None:
        if self._prompt:
            self._prompt = False
            return
        for token in value.flatten().tolist():
            self.ended = token in self.ends
            if not self.ended:
                self.emit(token)

    def end(self) -> None:
        return


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Return the ids that end an answer, as vLLM finds them."""
    found = getattr(model.generation_config, "eos_token_id", None)
    found = found if isinstance(found, list) else [found]
    return list(dict.fromkeys(one for one in (*found, tokenizer.eos_token_id) if one is not None))
