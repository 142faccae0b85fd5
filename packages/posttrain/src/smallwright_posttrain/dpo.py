"""Direct preference optimisation on pairs of answers with TRL's DPOTrainer (arXiv 2305.18290)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.engines import importing

from smallwright_posttrain.config import DpoConfig
from smallwright_posttrain.encode import Encoded, Template, encode_pair
from smallwright_posttrain.exact import weighted
from smallwright_posttrain.forms import preference_row
from smallwright_posttrain.model import load_model
from smallwright_posttrain.rows import Row
from smallwright_posttrain.stage import TrlStage


class Dpo(TrlStage):
    """The registered posttrainer ``dpo``."""

    method = "dpo"
    shipped = "preferences.jsonl"
    columns = ("prompt_ids", "chosen_ids", "rejected_ids")
    reader = staticmethod(preference_row)
    config: DpoConfig

    def encoder(self, tokenizer: Any, limit: int) -> Callable[[Row], Encoded]:
        template = Template(tokenizer)
        return lambda row: encode_pair(template, row, limit)

    def trainer(
        self, model: Any, tokenizer: Any, settings: dict[str, Any], train: Any, heldout: Any, source: Path, job: Any
    ) -> Any:
        with importing():
            from trl import DPOConfig, DPOTrainer

        class Prepared(DPOTrainer):  # type: ignore[misc]
            """TRL's trainer for pairs that are token ids already."""

            def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
                return dataset

        Prepared.__name__ = DPOTrainer.__name__
        arguments = DPOConfig(
            **settings,
            beta=self.config.beta,
            loss_type=[self.config.loss_type],
            label_smoothing=self.config.label_smoothing,
            precompute_ref_log_probs=self.config.precompute_ref_log_probs,
        )
        # Given here because TRL would look the class up among transformers' own, which has none of a plugin's.
        reference = None if self.config.precompute_ref_log_probs else load_model(source, job, self.config)
        return weighted(Prepared, _pairs)(
            model=model, ref_model=reference, args=arguments, train_dataset=train, eval_dataset=heldout,
            processing_class=tokenizer,
        )  # fmt: skip

    def measured(self, metrics: dict[str, float]) -> dict[str, float]:
        return {
            "loss": metrics["eval_loss"],
            "reward_accuracy": metrics["eval_rewards/accuracies"],
            "reward_margin": metrics["eval_rewards/margins"],
            "chosen_log_probability": metrics["eval_logps/chosen"],
            "rejected_log_probability": metrics["eval_logps/rejected"],
        }


def _pairs(inputs: Any) -> int:
    return len(inputs["input_ids"]) // 2  # chosen and rejected
