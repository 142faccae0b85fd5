"""Supervised fine-tuning on conversations with TRL's SFTTrainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.engines import importing
from core.errors import ConfigError
from core.interfaces import Job

from smallwright_posttrain import marks, replay, templates
from smallwright_posttrain.config import SftConfig
from smallwright_posttrain.encode import IGNORED_LABEL, Encoded, Template, encode_chat
from smallwright_posttrain.exact import weighted
from smallwright_posttrain.forms import chat_row
from smallwright_posttrain.rows import Row
from smallwright_posttrain.stage import TrlStage

TOKENS_OF_THE_PACKING_CHECK = 12


class Sft(TrlStage):
    """The registered posttrainer ``sft``."""

    method = "sft"
    shipped = "chat.jsonl"
    columns = ("input_ids", "labels")
    reader = staticmethod(chat_row)
    config: SftConfig

    def check_template(self, template: str, where: str) -> None:
        """Refuse a chat template that cannot tell the assistant's tokens, when only these are learned from."""
        super().check_template(template, where)
        if self.config.assistant_only_loss and not templates.marks_answers(template):
            raise _without_marks(where)

    def encoder(self, tokenizer: Any, limit: int) -> Callable[[Row], Encoded]:
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers

        only, own = self.config.assistant_only_loss, tokenizer.chat_template
        template, marked = Template(tokenizer), None
        if only and not has_generation_markers(own):
            text = templates.default(own)
            if templates.known_to_trl(text):
                template = Template(tokenizer, get_training_chat_template(tokenizer))
            else:
                found = marks.marked(text, tokenizer.special_tokens_map)
                if found is None:  # with its own special tokens the template writes otherwise than planning saw it
                    raise _without_marks("posttrain.sft")
                marked = Template(tokenizer, found)
        return lambda row: encode_chat(template, row, limit, assistant_only=only, marked=marked)

    def trainer(
        self, model: Any, tokenizer: Any, settings: dict[str, Any], train: Any, heldout: Any, source: Path, job: Any
    ) -> Any:
        with importing():
            from trl import SFTConfig, SFTTrainer

        if self.config.packing:
            _refuse_mixing(model, job.name)
        arguments = SFTConfig(
            **settings,
            packing=self.config.packing,
            eval_packing=False,
            # Rows are token ids and labels already, cut to max_length; only packing is left to do.
            dataset_kwargs={"skip_prepare_dataset": not self.config.packing},
        )
        return weighted(SFTTrainer, _learned_tokens)(
            model=model, args=arguments, train_dataset=train, eval_dataset=heldout, processing_class=tokenizer
        )

    def with_replay(self, train: Any, learned: int, job: Job, limit: int) -> Any:
        """Return the rows with documents of pretraining among them, where the run has its tokens."""
        from datasets import Dataset, concatenate_datasets

        if not (tokens := job.tokens()):
            return train
        wanted = round(self.config.replay * learned)
        rows = list(replay.documents([*tokens.values()], wanted, limit, job.seed))
        return concatenate_datasets([train, Dataset.from_list(rows, features=train.features)]) if rows else train

    def measured(self, metrics: dict[str, float]) -> dict[str, float]:
        return {"loss": metrics["eval_loss"], "token_accuracy": metrics["eval_mean_token_accuracy"]}


def _without_marks(where: str) -> ConfigError:
    return ConfigError(
        f"{where}.assistant_only_loss=true: the tokenizer's chat template has no {{% generation %}} around the "
        "assistant's text, and none with it was found that writes the same; add the markers to the template, or set "
        f"{where}.assistant_only_loss=false."
    )


def _learned_tokens(inputs: Any) -> int:
    return int((inputs["labels"][..., 1:] != IGNORED_LABEL).sum())


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
