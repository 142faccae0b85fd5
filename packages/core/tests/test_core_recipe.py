"""Planning the steps of a recipe: what is refused, and under which name."""

import pytest
from core import discovery
from core.data.recipe import RecipeConfig, plan_steps
from core.errors import ConfigError, InputError


def test_a_setting_that_a_step_has_from_the_scorer_is_named_where_it_was_written(workdir):
    registry = discovery.load(["toy_plugin.py"])
    for own, name in (({}, "data.maths.scorer.wrod"), ({"wrod": "x"}, "data.maths.steps.label.wrod")):
        scorer = {"use": "drop", "word": "x", **({} if own else {"wrod": "x"})}
        wrong = RecipeConfig(steps={"label": {"like": scorer, **own}}, scorer=scorer)
        with pytest.raises(ConfigError) as refused:
            plan_steps(wrong, registry, "data.maths")
        assert str(refused.value).startswith(f"{name}: unknown key. Did you mean 'word'?")


def test_a_step_can_refuse_while_planning(workdir):
    registry = discovery.load(["toy_plugin.py"])
    asked = []

    class Checked(type(plan_steps(recipe("drop"), registry)[0].config)):
        def check(self, registry, where):
            asked.append(where)
            raise InputError(f"{where}.word: nothing has it.")

    import toy_plugin

    toy_plugin.DropConfig, plain = Checked, toy_plugin.DropConfig
    try:
        with pytest.raises(InputError, match=r"data\.maths\.steps\.drop\.word: nothing has it"):
            plan_steps(recipe("drop"), registry, "data.maths")
    finally:
        toy_plugin.DropConfig = plain
    assert asked == ["data.maths.steps.drop"]


def recipe(*steps):
    return RecipeConfig(steps={step: {} for step in steps})
