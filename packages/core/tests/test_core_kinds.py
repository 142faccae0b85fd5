"""The one table of kinds agrees with the hooks, the defaults of a run, the templates and the base classes."""

import dataclasses
import importlib.resources
import inspect

import pytest
from core import compose, hooks, interfaces, kinds

CONTRACT = (
    interfaces.__name__,
    "core.architecture",
    "core.launcher",
    "core.model_command",
    "core.policy",
    "core.schedule",
    "core.step_config",
    "core.tracker",
)
CORE = importlib.resources.files("core")


def test_every_kind_has_its_hook_and_every_hook_its_kind():
    registering = {name.removeprefix("register_") for name in vars(hooks) if name.startswith("register_")}
    assert registering - {"configs"} == set(kinds.BY_NAME)
    assert len(kinds.BY_NAME) == len(kinds.KINDS)


def test_a_run_takes_the_defaults_of_the_table_where_they_are_installed(registry):
    config = compose.compose(["+data=toy"], registry)
    assert config["executor"]["name"] == kinds.BY_NAME["executors"].default
    optional = {kind.group for kind in kinds.KINDS if kind.default and kind.optional}
    assert optional, "a run without training needs none of these"
    assert not optional & {*config}


def test_a_group_either_has_a_default_or_is_appended():
    assert not {*kinds.DEFAULT_GROUPS} & {*kinds.APPENDED_GROUPS}
    assert {*kinds.GROUPS, *kinds.RUN_GROUPS} == {*kinds.DEFAULT_GROUPS, *kinds.APPENDED_GROUPS}
    assert len([kind for kind in kinds.KINDS if kind.group]) == len(kinds.GROUPS), "no group is of two kinds"


def test_every_template_is_a_folder_and_every_folder_a_template():
    folders = {folder.name for folder in (CORE / "templates").iterdir() if folder.name != "__pycache__"}
    assert folders == set(kinds.TEMPLATES)
    assert {name: kind.template for name, kind in kinds.KIND_OF_TEMPLATE.items()} == kinds.TEMPLATES


@pytest.mark.parametrize("template", kinds.TEMPLATES.values(), ids=list(kinds.TEMPLATES))
def test_the_use_of_a_template_has_a_place_for_the_name(template):
    assert "mine" in template.use.format(name="mine")
    assert template.group in (None, *kinds.GROUPS)


def test_every_base_of_the_contract_is_the_base_of_some_kind():
    of_kinds = {base for kind in kinds.KINDS for base in (kind.base, kind.config_base) if base is not None}
    contract = {
        cls
        for _, cls in inspect.getmembers(interfaces, inspect.isclass)
        if cls.__module__ in CONTRACT and not dataclasses.is_dataclass(cls)
    }
    # A policy that chooses is registered as one that mixes, and is a base of its own beneath it.
    assert of_kinds | {interfaces.SelectionPolicy} == contract
    assert issubclass(interfaces.SelectionPolicy, interfaces.MixturePolicy)
