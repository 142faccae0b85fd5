"""What settings name and planning can look for: local paths and libraries."""

import pytest
from core.checks import check_local, check_modules, check_target
from core.errors import InputError, MissingPluginError
from core.registry import Entry


def test_a_path_that_is_none_is_refused_and_a_hub_id_is_not_looked_for(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("owner/model", "model", str(tmp_path / "model"), "hf://datasets/owner/name/x"):
        check_local(name, "arch.source")
    for name in (str(tmp_path / "other"), "./model", "../model", "a/b/c", "~/model"):
        with pytest.raises(InputError, match=f"arch.source={name}: no such file or folder"):
            check_local(name, "arch.source")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("core.data.recipe:RecipeConfig", None),
        ("core.data.recipe:Recipee", "no 'Recipee' in core.data.recipe"),
        ("core.data.nothing:Step", "no module core.data.nothing"),
        ("no_such_package.steps:Step", "no module no_such_package.steps"),
        ("sys:path", None),
    ],
)
def test_what_a_plugin_registers_is_looked_for_without_importing_it(target, said):
    entry = Entry(kind="steps", name="mine", target=target, config=None, plugin="p", distribution="p", version="1")
    if said is None:
        check_target(entry)
        return
    with pytest.raises(MissingPluginError, match=rf"steps 'mine' of p 1: {said}\. Mend or upgrade"):
        check_target(entry)


def test_missing_libraries_are_named_with_the_line_that_installs_them():
    check_modules("data.steps.x", {"json": "json"}, "smallwright-x")
    message = r"data\.steps\.x: jsonn not installed\. Install: pip install 'smallwright-x\[y\]'"
    with pytest.raises(MissingPluginError, match=message):
        check_modules("data.steps.x", {"json": "json", "jsonn": "jsonn"}, "smallwright-x[y]")
