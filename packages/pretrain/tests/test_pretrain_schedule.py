"""The rate of each step, against the published schedules."""

import dataclasses
import itertools
import json
import math

import pytest
from core import discovery, typed
from core.errors import ConfigError
from smallwright_pretrain.branch import same_until
from smallwright_pretrain.config import TorchTitanConfig
from smallwright_pretrain.schedule import describe, learning_rate
from smallwright_testing import ScheduleConformance

SMOLLM2_1_7B = TorchTitanConfig(steps=5_240_000, warmup_steps=2000, learning_rate=5e-4, decay_ratio=0.1)
SMOLLM2_135M = TorchTitanConfig(steps=2_000_000, warmup_steps=2000, learning_rate=3e-3, decay_ratio=0.2)
MOBILLAMA = TorchTitanConfig(steps=730_000, warmup_steps=2000, learning_rate=3e-4, schedule="cosine", min_lr_factor=0.1)
PANGU_PI = TorchTitanConfig(steps=400_000, warmup_steps=4000, learning_rate=3e-4, schedule="cosine")
PANGU_PI_PRO = TorchTitanConfig(
    steps=100_000, warmup_steps=3000, learning_rate=1e-4, schedule="cosine", min_lr_factor=0.1
)


@pytest.mark.parametrize(
    ("config", "rates"),
    [
        (
            SMOLLM2_1_7B,
            {1: 2.5e-7, 1000: 2.5e-4, 2000: 5e-4, 4_716_000: 5e-4, 4_978_000: 2.5e-4, 5_240_000: 0},
        ),
        (SMOLLM2_135M, {1000: 1.5e-3, 2000: 3e-3, 1_600_000: 3e-3, 1_800_000: 1.5e-3, 2_000_000: 0}),
        (MOBILLAMA, {1: 1.5e-7, 2000: 3e-4, 366_000: 1.65e-4, 730_000: 3e-5}),
        (PANGU_PI, {2000: 1.5e-4, 4000: 3e-4, 202_000: 1.5e-4, 400_000: 0}),
        (PANGU_PI_PRO, {3000: 1e-4, 51_500: 5.5e-5, 100_000: 1e-5}),
    ],
    ids=["smollm2-1.7b", "smollm2-135m", "mobillama", "pangu-pi", "pangu-pi-pro"],
)
def test_rates_are_the_published_ones(config, rates):
    assert {step: learning_rate(config, step) for step in rates} == pytest.approx(rates, rel=1e-12, abs=0)


def test_the_last_rate_is_exactly_the_last_one_of_the_settings():
    assert learning_rate(SMOLLM2_1_7B, 5_240_000) == learning_rate(PANGU_PI, 400_000) == 0.0
    for schedule in ("wsd", "cosine", "linear"):
        config = TorchTitanConfig(steps=37, learning_rate=3e-4, schedule=schedule, min_lr_factor=0.1)
        assert learning_rate(config, 37) == 3e-4 * 0.1


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.5), ("sqrt", 1 - math.sqrt(0.5)), ("cosine", 0.5)])
def test_a_decay_has_its_shape(shape, middle):
    config = TorchTitanConfig(
        steps=100, learning_rate=1.0, warmup_steps=0, decay_ratio=0.4, decay_type=shape, min_lr_factor=0.2
    )
    rates = [learning_rate(config, step) for step in range(1, 101)]
    assert rates[:60] == [1.0] * 60
    assert rates[79] == pytest.approx(0.2 + 0.8 * middle)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[59:]))
    assert learning_rate(config, 101) == rates[-1] == 0.2


def test_a_constant_schedule_holds_the_peak_and_a_decay_never_reaches_into_the_warm_up():
    constant = TorchTitanConfig(steps=50, warmup_steps=5, learning_rate=1e-3, schedule="constant")
    assert {learning_rate(constant, step) for step in range(5, 51)} == {1e-3}
    long = TorchTitanConfig(steps=50, warmup_steps=20, decay_ratio=0.9)
    assert (long.decay_steps, long.last_at_peak) == (30, 20)
    assert (constant.last_at_peak, SMOLLM2_1_7B.last_at_peak) == (50, 4_716_000)


def test_the_optimizer_gets_these_rates():
    """Through TorchTitan's container, also where the trainer is told of a part of the steps only."""
    import torch
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    from smallwright_pretrain.titan import Schedule

    config = TorchTitanConfig(steps=12, warmup_steps=3, decay_ratio=0.5, min_lr_factor=0.1)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = Schedule.Config(settings=config).build(optimizers=[optimizer], training_steps=6)
    used = []
    for _ in range(12):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert used == [learning_rate(config, step) for step in range(1, 13)]


PLUGIN = """
from core.hooks import hookimpl
from core.interfaces import Schedule

PLUGIN_API_VERSION = 1


class Saw(Schedule):
    def share(self, step, steps, warmup_steps):
        return (steps - step) % 10 / 10


class High(Schedule):
    def share(self, step, steps, warmup_steps):
        return 1 + (step == 40)


class Fails(Schedule):
    def share(self, step, steps, warmup_steps):
        return abs(0.1 / (step - 40))


@hookimpl
def register_schedules(register):
    for name in (Saw, High, Fails):
        register(name.__name__.lower(), f"saw:{name.__name__}")
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """A function that returns settings as planning has them, with the schedules of a local file."""
    file = tmp_path_factory.mktemp("plugin") / "saw.py"
    file.write_text(PLUGIN)
    registry = discovery.load((str(file),))

    def build(**values):
        config = typed.build(TorchTitanConfig, {"steps": 100, "warmup_steps": 10, **values}, "pretrain")
        config.check(registry, "pretrain")
        return config

    return build


def test_a_schedule_of_a_plugin_crosses_to_the_ranks_with_its_rates(checked):
    config = checked(schedule="saw", learning_rate=1.0, min_lr_factor=0.5)
    rates = {5: 0.5, 10: 0.5, 11: 0.95, 99: 0.55, 100: 0.5}
    assert {step: learning_rate(config, step) for step in rates} == pytest.approx(rates)
    job = json.loads(json.dumps(dataclasses.asdict(config)))
    assert [learning_rate(typed.build(TorchTitanConfig, job, "pretrain"), step) for step in rates] == [*rates.values()]
    assert describe(config) == "saw: up to 1 at step 10, then as the plugin has it, to 0.5 at step 100"


def test_the_plugin_and_its_settings_are_the_identity_and_names_of_ours_stay_as_they_were(checked):
    assert typed.identity(checked(schedule="cosine"))["schedule"] == "cosine"
    given = typed.identity(checked(schedule={"name": "multi_step", "settings": {"levels": {"0.8": 0.316, "0.9": 0.1}}}))
    assert given["schedule"] == typed.identity(checked(schedule="multi_step"))["schedule"]
    assert given["schedule"]["by"]["plugin"] == "smallwright-pretrain"
    assert given["schedule"] != typed.identity(checked(schedule="saw"))["schedule"]


def test_nothing_but_the_warm_up_of_a_longer_run_is_taken_for_the_same(checked):
    assert same_until(checked(schedule="saw"), checked(schedule="saw", steps=200)) == 9
    assert same_until(checked(schedule="saw"), checked(schedule="saw")) == 100


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "cosin"}, r"pretrain\.schedule=cosin: must be one of wsd, .*, saw\. Did you mean 'cosine'\?"),
        ({"schedule": {"name": "wsd"}}, r"pretrain\.schedule\.name=wsd: is no plugin's\. Set pretrain\.schedule=wsd\."),
        (
            {"schedule": {"name": "saw", "settings": {"a": 1}}},
            r"pretrain\.schedule\.settings: saw takes no settings, got a",
        ),
        (
            {"schedule": {"name": "multi_step", "settings": {"levels": {"2": 1}}}},
            r"schedule\.settings\.levels\.2: must be",
        ),
        ({"schedule": "saw", "decay_ratio": 0.5}, r"decay_ratio=0\.5: is of schedule=wsd, and schedule=saw\."),
        ({"schedule": "high"}, r"pretrain\.schedule=high: step 40 has 2 of the peak; it must be from 0 to 1"),
        ({"schedule": "fails"}, r"pretrain\.schedule=fails: gives no rate for step 40 \(ZeroDivisionError"),
    ],
)
def test_a_schedule_that_is_none_is_refused_while_planning(checked, values, message):
    with pytest.raises(ConfigError, match=message):
        checked(**values)


def test_multi_step_has_the_rates_of_deepseek_llm(checked):
    config = checked(schedule="multi_step", learning_rate=4.2e-4, steps=1000, warmup_steps=20)
    rates = {10: 2.1e-4, 20: 4.2e-4, 800: 4.2e-4, 801: 1.3272e-4, 900: 1.3272e-4, 901: 4.2e-5, 1000: 4.2e-5}
    assert {step: learning_rate(config, step) for step in rates} == pytest.approx(rates)


class TestMultiStep(ScheduleConformance):
    plugin = "multi_step"
    wrong_settings = {"levels.1.5": {"levels": {"1.5": 0.5}}, "levels.x": {"levels": {"x": 0.5}}}
