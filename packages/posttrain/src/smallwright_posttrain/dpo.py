"""Direct preference optimisation on pairs of answers with TRL's DPOTrainer (arXiv 2305.18290)."""

from pathlib import Path
from typing import Any

from core.engines import importing

from smallwright_posttrain.config import DpoConfig
from smallwright_posttrain.model import load_model
from smallwright_posttrain.prepare import Measure
from smallwright_posttrain.rows import Row, preference_row
from smallwright_posttrain.stage import TrlStage


class Dpo(TrlStage):
    """The registered posttrainer ``dpo``."""

    method = "dpo"
    shipped = "preferences.jsonl"
    columns = ("prompt", "chosen", "rejected")
    normalise = staticmethod(preference_row)
    config: DpoConfig

    def measure(self, tokenizer: Any) -> Measure:
        def length(messages: list[dict[str, str]], prompt: bool) -> int:
            encoded = tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=True, add_generation_prompt=prompt
            )
            return len(encoded["input_ids"])

        def tokens(row: Row) -> tuple[int, int]:
            longest = max(length(row["prompt"] + row[side], False) for side in ("chosen", "rejected"))
            return length(row["prompt"], True), longest

        return tokens

    def trainer(
        self, model: Any, tokenizer: Any, settings: dict[str, Any], train: Any, heldout: Any, source: Path, job: Any
    ) -> Any:
        with importing():
            from trl import DPOConfig, DPOTrainer

        arguments = DPOConfig(
            **settings,
            beta=self.config.beta,
            loss_type=[self.config.loss_type],
            label_smoothing=self.config.label_smoothing,
            precompute_ref_log_probs=self.config.precompute_ref_log_probs,
        )
        # Given here because TRL would look the class up among transformers' own, which has none of a plugin's.
        reference = None if self.config.precompute_ref_log_probs else load_model(source, job, self.config)
        return DPOTrainer(
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
