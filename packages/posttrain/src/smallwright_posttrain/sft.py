"""Supervised fine-tuning on conversations with TRL's SFTTrainer."""

from pathlib import Path
from typing import Any

from core.engines import importing
from core.errors import ConfigError

from smallwright_posttrain.config import SftConfig
from smallwright_posttrain.prepare import Measure
from smallwright_posttrain.rows import Row, chat_row
from smallwright_posttrain.stage import TrlStage

TOKENS_OF_THE_PACKING_CHECK = 12


class Sft(TrlStage):
    """The registered posttrainer ``sft``."""

    method = "sft"
    shipped = "chat.jsonl"
    columns = ("messages",)
    normalise = staticmethod(chat_row)
    config: SftConfig

    def check_tokenizer(self, tokenizer: Any, job_name: str) -> None:
        """Refuse a chat template that cannot tell the assistant's tokens, when only these are learned from."""
        super().check_tokenizer(tokenizer, job_name)
        if not self.config.assistant_only_loss:
            return
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers

        if has_generation_markers(tokenizer.chat_template):
            return
        try:
            get_training_chat_template(tokenizer)  # TRL knows the templates of well-known models and patches them
        except ValueError:
            raise ConfigError(
                f"posttrain.{job_name}.assistant_only_loss=true: the tokenizer's chat template has no "
                "{% generation %} around the assistant's text, and TRL knows no replacement for it; add the markers "
                f"to the template, or set posttrain.{job_name}.assistant_only_loss=false."
            ) from None

    def measure(self, tokenizer: Any) -> Measure:
        def tokens(row: Row) -> tuple[int, int]:
            total = _length(tokenizer, row["messages"])
            if not self.config.assistant_only_loss or self.config.max_length is None or total <= self.config.max_length:
                return 0, total
            first = next(index for index, message in enumerate(row["messages"]) if message["role"] == "assistant")
            return _length(tokenizer, row["messages"][:first], add_generation_prompt=True) if first else 0, total

        return tokens

    def trainer(
        self, model: Any, tokenizer: Any, settings: dict[str, Any], train: Any, heldout: Any, source: Path, job: Any
    ) -> Any:
        with importing():
            from trl import SFTConfig, SFTTrainer

        if self.config.packing:
            _refuse_mixing(model, job.name)
        arguments = SFTConfig(
            **settings,
            assistant_only_loss=self.config.assistant_only_loss,
            packing=self.config.packing,
            eval_packing=False,
        )
        return SFTTrainer(
            model=model, args=arguments, train_dataset=train, eval_dataset=heldout, processing_class=tokenizer
        )

    def measured(self, metrics: dict[str, float]) -> dict[str, float]:
        return {"loss": metrics["eval_loss"], "token_accuracy": metrics["eval_mean_token_accuracy"]}


def _length(tokenizer: Any, messages: list[dict[str, str]], **options: Any) -> int:
    return len(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options)["input_ids"])


def _refuse_mixing(model: Any, job_name: str) -> None:
    """Raise ConfigError unless two texts packed in one row are to ``model`` what they are alone.

    TRL marks the borders by position ids alone; a model that builds its own attention mask may not see them.
    """
    import torch

    count = TOKENS_OF_THE_PACKING_CHECK
    fix = f"set posttrain.{job_name}.packing=false, or another posttrain.{job_name}.attn_implementation."
    ids_BL = torch.arange(2 * count, device=model.device)[None] % model.config.vocab_size
    positions_BL = (torch.arange(2 * count, device=model.device) % count)[None]
    borders = torch.tensor([0, count, 2 * count], dtype=torch.int32, device=model.device)
    lengths = {"cu_seq_lens_q": borders, "cu_seq_lens_k": borders, "max_length_q": count, "max_length_k": count}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            packed_BLV = model(input_ids=ids_BL, position_ids=positions_BL, use_cache=False, **lengths).logits
            alone_BLV = model(input_ids=ids_BL[:, count:], use_cache=False).logits
    except TypeError as error:
        raise ConfigError(
            f"posttrain.{job_name}.packing=true: {type(model).__name__} takes no packed rows ({error}); {fix}"
        ) from None
    finally:
        model.train(was_training)
    difference = (packed_BLV[:, count:] - alone_BLV).abs().max() / alone_BLV.abs().max().clamp(min=1e-6)
    if difference > 1e-2:
        raise ConfigError(
            f"posttrain.{job_name}.packing=true: {type(model).__name__} "
            f"lets conversations packed in one row see each other; {fix}"
        )
