"""Scaling laws against tables that were computed from the papers, and the learning rate by batch."""

import math

import pytest
from core.planning import scaling

BUDGETS = (1e18, 1e19, 1e21, 5.76e23)


@pytest.mark.parametrize(
    ("law", "expected", "exponent"),
    [
        (scaling.PRINTED, (25.7, 32.1, 50.1, 92.6), 0.452),
        (scaling.TEX, (18.6, 22.8, 34.0, 59.1), 0.457),
        (scaling.REFIT, (25.7, 24.2, 21.6, 18.4), 0.513),
    ],
)
def test_tokens_per_parameter_to_three_digits(law, expected, exponent):
    assert [round(law.tokens_per_parameter(budget), 1) for budget in BUDGETS] == list(expected)
    grown = law.optimal_parameters(1e22) / law.optimal_parameters(1e21)
    assert math.log10(grown) == pytest.approx(exponent, abs=6e-4)


@pytest.mark.parametrize("law", scaling.LAWS, ids=lambda law: law.name)
def test_the_optimum_is_the_least_loss_of_its_budget(law):
    parameters = law.optimal_parameters(1e21)
    tokens = 1e21 / 6 / parameters
    assert law.optimal_tokens(parameters) == pytest.approx(tokens, rel=1e-9)
    best = law.loss(parameters, tokens)
    for factor in (0.8, 0.95, 1.05, 1.25):
        assert law.loss(parameters * factor, tokens / factor) > best


def test_the_warning_names_the_constants_that_do_not_give_twenty():
    assert "printed 92.6, TeX 59.1, re-fit 18.4" in scaling.WARNING
    assert "do not give 20" in scaling.WARNING


# Published parameters and tokens; the ratio and 6 N D computed from them by hand.
@pytest.mark.parametrize(
    ("name", "ratio", "flops"),
    [
        ("Chinchilla", 20, "5.9e+23"),
        ("phi-1.5", 115, "1.2e+21"),
        ("phi-2", 519, "2.3e+22"),
        ("MobiLlama large-base", 998, "9.5e+21"),
        ("PanGu-pi-1.5B Pro, a round", 1067, "1.4e+22"),
        ("PanGu-pi-1B Pro, a round", 1600, "9.6e+21"),
        ("MobiLlama 0.5B", 2354, "4.0e+21"),
        ("TinyLlama", 2727, "2.0e+22"),
        ("SmolLM2-1.7B", 6433, "1.1e+23"),
        ("Llama-3.2-1B", 7317, "6.6e+22"),
        ("SmolLM2-360M", 11111, "8.6e+21"),
        ("SmolLM2-135M", 14815, "1.6e+21"),
        ("Qwen2.5-1.5B", 11688, "1.7e+23"),
        ("Qwen2.5-0.5B", 36735, "5.3e+22"),
    ],
)
def test_published_models_and_how_far_they_are_trained(name, ratio, flops):
    (model,) = [model for model in scaling.PUBLISHED if model.name == name]
    assert (round(model.tokens_per_parameter), f"{model.flops:.1e}") == (ratio, flops)
    below, above = scaling.neighbours(model.tokens_per_parameter)
    assert below == model
    assert above is None or above.tokens_per_parameter > model.tokens_per_parameter


def test_a_run_below_all_published_models_has_no_lower_neighbour():
    below, above = scaling.neighbours(1.0)
    assert below is None
    assert above is not None
    assert above.name == "Chinchilla"


def test_four_times_the_batch_is_twice_the_learning_rate():
    assert scaling.scaled_learning_rate(2e-4, 2e6, 8e6) == pytest.approx(4e-4)
    assert scaling.scaled_learning_rate(2e-4, 2e6, 8e6, exponent=1.0) == pytest.approx(8e-4)
    assert scaling.scaled_learning_rate(2e-4, 2e6, 8e6, exponent=0.0) == pytest.approx(2e-4)
