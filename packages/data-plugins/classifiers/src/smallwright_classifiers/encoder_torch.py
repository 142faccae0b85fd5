"""The part of the encoder classifiers that needs torch and transformers; imported only when one is used.

Shape suffixes: B texts, L tokens, W width of the encoder.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core.errors import ConfigError, InputError, UserError
from core.progress import ProgressWriter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import logging

from smallwright_classifiers.config import EncoderClassifierConfig
from smallwright_classifiers.evaluation import macro_f1
from smallwright_classifiers.examples import Examples

GRADIENT_NORM = 1.0
"""Gradients are clipped to this norm: the default of the Trainer that FineWeb-Edu's script uses."""
PROBES = ("One short text.", "Another text, which is longer than the first one, so that one of the two is padded.")
AGREEMENT = 1e-3


def check(name: str, revision: str | None, max_tokens: int, place: str, outputs: int | None = None) -> None:
    """Refuse an encoder that cannot be used. Reads its settings and its tokenizer, not its weights.

    Args:
        place: Where the name stands in the configuration, for messages.
        outputs: Number of outputs that it must have; None: any.

    Raises:
        InputError: there is no such encoder, or it has another number of outputs.
        ConfigError: it does not read so many tokens.
    """
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{place}={name}: no encoder of transformers there, or no way to it: {reason}") from error
    longest = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", None) or math.inf)
    if max_tokens > longest:
        raise ConfigError(f"{place.rpartition('.')[0]}.max_tokens={max_tokens}: {name} reads at most {longest}.")
    if tokenizer.pad_token_id is None:
        raise InputError(f"{place}={name}: its tokenizer has no padding token.")
    if outputs is not None and config.num_labels != outputs:
        raise InputError(f"{place}={name}: has {config.num_labels} outputs; a classifier here has one, a regression.")


class Encoder:
    """A transformers model for sequence classification with one output, and its tokenizer.

    Args:
        source: Hub id or directory.
        trained: ``source`` is a trained classifier. False: it is an encoder, which gets a new output and no dropout.
        frozen: Take the model apart into the encoder, which :meth:`encode` runs, and the head that stands on it.
        seed: Seed of the weights that are new in the model.

    Raises:
        InputError: with ``frozen``, when the head reads more of the encoder's output than one vector.
    """

    def __init__(
        self,
        source: str,
        revision: str | None,
        *,
        trained: bool,
        frozen: bool,
        max_tokens: int,
        prefix: str,
        max_chars: int | None,
        dtype: str,
        batch: int,
        device: str,
        threads: int,
        seed: int,
    ) -> None:
        self.max_tokens, self.prefix, self.max_chars = max_tokens, prefix, max_chars
        self.batch, self.threads, self.seed = batch, threads, seed
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._bfloat16 = dtype == "bfloat16"
        self.tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        config = AutoConfig.from_pretrained(source, revision=revision)
        if not trained:
            config.num_labels = 1
            config.problem_type = "regression"
            _without_dropout(config)
        with torch.random.fork_rng(), self.limited(), _quietly():
            torch.manual_seed(seed)
            model = AutoModelForSequenceClassification.from_pretrained(
                source, revision=revision, config=config, dtype=torch.float32
            )
            self.model: Any = model.to(self.device).eval()
            if frozen:
                self._take_apart(source)

    def _take_apart(self, source: str) -> None:
        ids_BL, mask_BL = self._tensors(self._tokens(PROBES))
        with torch.no_grad():
            expected_B = self._logits(input_ids=ids_BL, attention_mask=mask_BL)
        self.trunk: Any = self.model.base_model
        self.width: int = self.trunk.config.hidden_size
        setattr(self.model, self.model.base_model_prefix, _KeptVectors(getattr(self.trunk, "pooler", None)))
        for parameter in self.trunk.parameters():
            parameter.requires_grad_(False)
        for parameter in self.model.parameters():  # the pooler, where there is one, belongs to both
            parameter.requires_grad_(True)
        self._new_head = {name: value.clone() for name, value in self.model.state_dict().items()}
        for self._pooling in (_first_token, _mean):
            vectors_BW = self._vectors(ids_BL, mask_BL)
            with contextlib.suppress(RuntimeError), torch.no_grad():
                found_B = self.forward_vectors(vectors_BW)
                if found_B.shape == expected_B.shape and torch.allclose(found_B, expected_B, atol=AGREEMENT):
                    return
        raise InputError(
            f"encoder={source}: the head of {type(self.model).__name__} reads more than the first token or the mean, "
            "so it cannot stand on a frozen encoder here; set freeze=false."
        )

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Use the set number of CPU threads: another number adds in another order."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vector of each text that the head stands on, shape (texts, width), float32."""
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for rows, ids_BL, mask_BL in self._batches(texts):
            vectors[rows] = self._vectors(ids_BL, mask_BL).cpu().numpy()
        return vectors

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Return scores of shape (texts,) by the whole model, float32."""
        scores = np.empty(len(texts), dtype=np.float32)
        for rows, ids_BL, mask_BL in self._batches(texts):
            with torch.inference_mode(), self.limited(), self.autocast():
                scores[rows] = self._logits(input_ids=ids_BL, attention_mask=mask_BL).cpu().numpy()
        return scores

    def score_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return scores of shape (vectors,) by the head, float32."""
        with torch.inference_mode(), self.limited():
            vectors_BW = torch.tensor(np.ascontiguousarray(vectors), device=self.device)
            return self.forward_vectors(vectors_BW).cpu().numpy()

    def forward_vectors(self, vectors_BW: Tensor) -> Tensor:
        """Run the head over vectors."""
        return self._logits(inputs_embeds=vectors_BW[:, None, :])

    def forward_texts(self, texts: Sequence[str]) -> Tensor:
        """Run the whole model over texts, for training."""
        ids_BL, mask_BL = self._tensors(self._tokens(texts))
        with self.autocast():
            return self._logits(input_ids=ids_BL, attention_mask=mask_BL)

    def load_head(self, path: Path) -> None:
        """Load a trained head; every weight of it must be there."""
        self.model.load_state_dict(load_file(path, device=str(self.device)))

    def save(self, folder: Path) -> None:
        """Write the whole model and its tokenizer as a transformers directory."""
        with _quietly():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def renew_head(self) -> None:
        """Give the head the weights that it had before any training."""
        self.model.load_state_dict(self._new_head)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def _vectors(self, ids_BL: Tensor, mask_BL: Tensor) -> Tensor:
        with torch.inference_mode(), self.limited(), self.autocast():
            hidden_BLW = self.trunk(input_ids=ids_BL, attention_mask=mask_BL)[0]
        return self._pooling(hidden_BLW.float(), mask_BL)

    def _logits(self, **inputs: Tensor) -> Tensor:
        return self.model(**inputs).logits.float().squeeze(-1)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        cut = [self.prefix + text[: self.max_chars].encode("utf-8", "replace").decode("utf-8") for text in texts]
        return self.tokenizer(
            cut, truncation=True, max_length=self.max_tokens, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"]

    def _tensors(self, tokens: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        longest = max(map(len, tokens))
        ids_BL = torch.full((len(tokens), longest), self.tokenizer.pad_token_id)
        mask_BL = torch.zeros((len(tokens), longest), dtype=torch.long)
        for row, ids in enumerate(tokens):
            ids_BL[row, : len(ids)] = torch.tensor(ids)
            mask_BL[row, : len(ids)] = 1
        return ids_BL.to(self.device), mask_BL.to(self.device)

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
        """Yield rows, ids and mask of batches of texts of like length, so that little is padding."""
        if not len(texts):
            return
        tokens = self._tokens(texts)
        by_length = np.argsort([-len(ids) for ids in tokens], kind="stable")
        for start in range(0, len(tokens), self.batch):
            rows = by_length[start : start + self.batch]
            yield rows, *self._tensors([tokens[row] for row in rows])


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Load without progress bars, and without the warning that some weights are new: here they should be."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class _KeptVectors(nn.Module):
    """Takes the encoder's place: gives the head a kept vector as if a text of one token had just been encoded."""

    def __init__(self, pooler: nn.Module | None) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, input_ids: None = None, *, inputs_embeds: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        pooled = self.pooler(inputs_embeds) if self.pooler is not None else None
        kept: Any = inputs_embeds  # annotated as a FloatTensor there
        return BaseModelOutputWithPooling(last_hidden_state=kept, pooler_output=pooled)


def _first_token(hidden_BLW: Tensor, mask_BL: Tensor) -> Tensor:
    return hidden_BLW[:, 0]


def _mean(hidden_BLW: Tensor, mask_BL: Tensor) -> Tensor:
    mask_BL1 = mask_BL[:, :, None]
    return (hidden_BLW * mask_BL1).sum(dim=1) / mask_BL1.sum(dim=1)


def _without_dropout(config: Any) -> None:
    for name, value in list(config.to_dict().items()):
        if "dropout" in name and (value is None or isinstance(value, float)):
            setattr(config, name, 0.0)


def train_frozen(
    encoder: Encoder,
    vectors: np.ndarray,
    examples: Examples,
    training: np.ndarray,
    held_out: np.ndarray,
    config: EncoderClassifierConfig,
    target: Path,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train the head on kept vectors of shape (examples, width) and save it.

    Returns:
        Scores of the held-out rows, and facts for the report.
    """

    def forward(rows: np.ndarray) -> Tensor:
        return encoder.forward_vectors(torch.tensor(vectors[rows], device=encoder.device))

    def score(rows: np.ndarray) -> np.ndarray:
        return encoder.score_vectors(vectors[rows])

    encoder.renew_head()
    best, facts = _fit(encoder, forward, score, examples, training, held_out, config)
    save_file({name: value.contiguous() for name, value in best.items()}, target)
    encoder.load_head(target)
    return score(held_out), facts


def train_whole(
    encoder: Encoder,
    examples: Examples,
    training: np.ndarray,
    held_out: np.ndarray,
    config: EncoderClassifierConfig,
    folder: Path,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train the whole encoder and save it as a transformers directory; returns as :func:`train_frozen`."""

    def forward(rows: np.ndarray) -> Tensor:
        return encoder.forward_texts(list(examples.texts.select(rows)))

    def score(rows: np.ndarray) -> np.ndarray:
        return examples.texts.score(rows, encoder.score)

    best, facts = _fit(encoder, forward, score, examples, training, held_out, config)
    encoder.model.load_state_dict(best)
    encoder.save(folder)
    return score(held_out), facts


def _fit(
    encoder: Encoder,
    forward: Callable[[np.ndarray], Tensor],
    score: Callable[[np.ndarray], np.ndarray],
    examples: Examples,
    training: np.ndarray,
    held_out: np.ndarray,
    config: EncoderClassifierConfig,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Minimise the mean squared error with AdamW.

    Returns:
        The weights with the best macro F1 on the held-out labels, and facts for the report.
    """
    parameters = [parameter for parameter in encoder.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    an_epoch = math.ceil(len(training) / config.batch)
    total = an_epoch * config.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config.warmup_steps, total))
    labels = torch.tensor(examples.labels, dtype=torch.float32, device=encoder.device)
    generator = torch.Generator().manual_seed(encoder.seed)
    progress = ProgressWriter()
    best: dict[str, Tensor] = {}
    best_quality, best_step, step = (-1.0, 0.0), 0, 0
    with encoder.limited():
        for _ in range(config.epochs):
            order = training[torch.randperm(len(training), generator=generator).numpy()]
            for start in range(0, len(order), config.batch):
                rows = order[start : start + config.batch]
                loss = nn.functional.mse_loss(forward(rows), labels[torch.from_numpy(rows)])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
                optimizer.step()
                schedule.step()
                step += 1
                if step % config.evaluate_every and step % an_epoch:
                    continue
                scores = score(held_out)
                if not (np.isfinite(scores).all() and torch.isfinite(loss)):
                    continue
                found = _quality(examples.labels[held_out], scores, examples.scale)
                progress(step, total, unit="steps", note=f"macro F1 {found[0]:.3f}")
                if found > best_quality or not len(held_out):
                    best_quality, best_step = found, step
                    best = {name: value.detach().cpu().clone() for name, value in encoder.model.state_dict().items()}
    if not best:
        raise UserError(f"learning_rate={config.learning_rate}: training diverged; lower it.")
    return best, {"steps": total, "best_step": best_step}


def _quality(labels: np.ndarray, scores: np.ndarray, scale: int) -> tuple[float, float]:
    """Return what the weights are chosen by: macro F1 (FineWeb §4), and the negative squared error among equals."""
    if not len(labels):
        return 0.0, 0.0
    return macro_f1(labels, scores, scale), -float(np.square(labels - scores).mean())


def _rate(step: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate: linear warm-up, then linear decay to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (total - step) / max(1, total - warmup))
