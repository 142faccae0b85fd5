"""Scaling laws: how many tokens suit a model of a given size, how far published models went, and learning rates.

Hoffmann et al. (Chinchilla, arXiv 2203.15556), approach 3, fits the loss ``L(N, D) = E + A / N^alpha + B / D^beta``.
With C = 6 N D its minimum under a budget C is ``N = G (C/6)^(beta/(alpha+beta))``, ``D = (C/6) / N``, with
``G = (alpha A / (beta B))^(1/(alpha+beta))``. N counts parameters, D tokens, C training FLOPs.
"""

import dataclasses

CHINCHILLA_BUDGET = 5.76e23
"""FLOPs of Chinchilla itself: 70B parameters, 1.4T tokens."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScalingLaw:
    """Constants of one fit of the loss, and what follows from them."""

    name: str
    source: str
    irreducible: float
    """E: the loss in nats per token that remains however large the model and its data are."""
    a: float
    b: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Predicted loss in nats per token (of Chinchilla's data and tokenizer)."""
        return self.irreducible + self.a / parameters**self.alpha + self.b / tokens**self.beta

    def optimal_parameters(self, flops: float) -> float:
        """Parameters of the best model for a budget of training FLOPs."""
        return self._g * (flops / 6) ** (self.beta / (self.alpha + self.beta))

    def optimal_tokens(self, parameters: float) -> float:
        """Tokens for which a model of this size is the best one that the same FLOPs can train."""
        # optimal_parameters solved for the budget: C / 6 = (N / G)^((alpha + beta) / beta).
        return float((parameters / self._g) ** ((self.alpha + self.beta) / self.beta) / parameters)

    def tokens_per_parameter(self, flops: float) -> float:
        """Tokens per parameter (D / N) of the best model for a budget of training FLOPs."""
        parameters = self.optimal_parameters(flops)
        return flops / 6 / parameters / parameters

    @property
    def _g(self) -> float:
        return float((self.alpha * self.a / (self.beta * self.b)) ** (1 / (self.alpha + self.beta)))


# Equation 10 prints the constants rounded, and rounding alone moves D / N at Chinchilla's budget from 59 to 93; the
# TeX source of the paper has more digits. Besiroglu et al. show that the optimizer of the original fit had stopped too
# early; only their fit agrees with approaches 1 and 2 of the paper, 20 tokens per parameter.
PRINTED = ScalingLaw(
    name="printed", source="arXiv 2203.15556, eq. 10", irreducible=1.69, a=406.4, b=410.7, alpha=0.34, beta=0.28
)
TEX = ScalingLaw(
    name="TeX", source="TeX source of arXiv 2203.15556", irreducible=1.6934, a=406.4, b=410.7, alpha=0.3392, beta=0.2849
)
REFIT = ScalingLaw(
    name="re-fit",
    source="Besiroglu et al., arXiv 2404.10102",
    irreducible=1.8172,
    a=482.01,
    b=2085.43,
    alpha=0.3478,
    beta=0.3658,
)
LAWS = (PRINTED, TEX, REFIT)
_RATIOS = [f"{law.name} {law.tokens_per_parameter(CHINCHILLA_BUDGET):.1f}" for law in LAWS]
WARNING = (
    "the printed constants are rounded and do not give 20 tokens per parameter. At Chinchilla's own budget of "
    f"{CHINCHILLA_BUDGET:.3g} FLOPs: {', '.join(_RATIOS)}; the model had 20. Go by the re-fit."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A published model: stored parameters and training tokens."""

    name: str
    parameters: float
    tokens: float

    @property
    def tokens_per_parameter(self) -> float:
        return self.tokens / self.parameters

    @property
    def flops(self) -> float:
        """6 N D: too low for a model that runs stored weights more than once (MobiLlama 0.5B: 2.58 times)."""
        return 6 * self.parameters * self.tokens


# As published: technical reports and model cards, rounded as there.
PUBLISHED = (
    TrainedModel(name="Chinchilla", parameters=70e9, tokens=1.4e12),
    TrainedModel(name="phi-1.5", parameters=1.3e9, tokens=150e9),
    TrainedModel(name="phi-2", parameters=2.7e9, tokens=1.4e12),
    TrainedModel(name="MobiLlama large-base", parameters=1.261529088e9, tokens=1.259e12),
    TrainedModel(name="PanGu-pi-1.5B Pro, a round", parameters=1.5e9, tokens=1.6e12),
    TrainedModel(name="PanGu-pi-1B Pro, a round", parameters=1.0e9, tokens=1.6e12),
    TrainedModel(name="MobiLlama 0.5B", parameters=0.534865920e9, tokens=1.259e12),
    TrainedModel(name="TinyLlama", parameters=1.1e9, tokens=3e12),
    TrainedModel(name="SmolLM2-1.7B", parameters=1.71e9, tokens=11e12),
    TrainedModel(name="Llama-3.2-1B", parameters=1.23e9, tokens=9e12),
    TrainedModel(name="SmolLM2-360M", parameters=360e6, tokens=4e12),
    TrainedModel(name="SmolLM2-135M", parameters=135e6, tokens=2e12),
    TrainedModel(name="Qwen2.5-1.5B", parameters=1.54e9, tokens=18e12),
    TrainedModel(name="Qwen2.5-0.5B", parameters=0.49e9, tokens=18e12),
)


def neighbours(tokens_per_parameter: float) -> tuple[TrainedModel | None, TrainedModel | None]:
    """Return the published models with the next fewer and the next more tokens per parameter than a run."""
    ordered = sorted(PUBLISHED, key=lambda model: model.tokens_per_parameter)
    below = [model for model in ordered if model.tokens_per_parameter <= tokens_per_parameter]
    above = [model for model in ordered if model.tokens_per_parameter > tokens_per_parameter]
    return (below[-1] if below else None), (above[0] if above else None)


def scaled_learning_rate(rate: float, batch: float, new_batch: float, exponent: float = 0.5) -> float:
    """Return the learning rate for another batch size: ``rate * (new_batch / batch)^exponent``.

    PanGu-pi Pro (arXiv 2402.02791, on batch size and learning rate) tried four exponents on six batch sizes and took
    0.5; batches up to about 4M tokens were safe.

    Args:
        batch: Batch at which ``rate`` was found, in tokens per optimizer step.
        new_batch: The batch to train with, in the same unit.
    """
    return rate * (new_batch / batch) ** exponent
