"""The conformance kit fails where a plugin is wrong: each test of the kit is shown a mistake that it must find."""

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import smallwright_testing
from core.interfaces import NamedModel
from smallwright_testing import launchers, trackers
from smallwright_testing.models import tiny_model

HERE = Path(__file__).parent
ARCHITECTURES = {
    "miscounted": [
        "every_named_size_has_the_parameters_it_declares",
        "these_settings_have_the_parameters_they_declare",
    ],
    "understated": ["executed_parameters_are_those_a_forward_pass_multiplies"],
    "other_rope": [
        "titan_and_transformers_give_the_same_log_probabilities",
        "every_weight_gets_the_same_gradient_in_titan_and_transformers",
    ],
    "mixed_up": [
        "titan_and_transformers_give_the_same_log_probabilities",
        "weights_are_bit_equal_from_titan_to_transformers_and_back",
    ],
    "forgetful": ["an_unknown_weight_is_refused_and_not_dropped"],
    "leaky": ["packed_documents_do_not_see_each_other"],
    "detached": [
        "gradients_are_those_of_finite_differences",
        "every_weight_gets_the_same_gradient_in_titan_and_transformers",
    ],
    "frozen_cache": [
        "log_probabilities_with_a_cache_equal_those_without",
        "generation_with_a_cache_equals_generation_without",
    ],
    "counts_ranks": ["two_ranks_train_as_one"],
}
STEPS = {
    "loses": ["every_document_is_kept_or_set_aside_with_a_reason"],
    "keeps_twice": ["no_document_is_lost_or_kept_twice"],
    "draws": ["a_second_run_gives_the_same_bytes"],
    "hashes": ["two_processes_give_the_same_bytes"],
    "looks_at_rank": ["one_file_gives_the_decisions_of_three"],
    "locked": ["two_processes_give_the_same_bytes"],
    "remembers": ["a_killed_run_goes_on_to_the_same_bytes"],
    "chatty": ["every_document_is_kept_or_set_aside_with_a_reason"],
}
LAUNCHERS = {
    "sound": [],
    "unordered": ["every_task_runs_once_behind_those_that_it_is_after"],
    "stops": ["a_task_that_fails_is_told_with_its_last_words_and_stops_no_other"],
    "silent": ["a_task_that_fails_is_told_with_its_last_words_and_stops_no_other"],
    "tellstwice": ["every_task_runs_once_behind_those_that_it_is_after", "what_a_task_prints_is_in_its_log"],
    "forgets": ["every_task_runs_once_behind_those_that_it_is_after", "what_a_task_prints_is_in_its_log"],
    "loses": ["what_a_task_prints_is_in_its_log"],
    "leavesrunning": ["when_it_is_interrupted_tasks_end_or_are_watched_again"],
}
TRACKERS = {
    "sound": [],
    "holds": ["what_was_told_survives_a_kill_and_the_same_folder_goes_on"],
    "empties": ["what_was_told_survives_a_kill_and_the_same_folder_goes_on"],
    "chokes": ["any_record_can_be_told"],
    "strays": ["it_writes_below_the_runs_folder_alone"],
    "unready": ["a_stage_that_logs_nothing_is_no_trouble"],
}
COMMANDS = {
    "sound": None,
    "imports": "planning_imports_nothing_heavy",
    "numbers": "its_environment_is_text",
    "silent": "it_ends_with_a_code_and_leaves_the_model_as_it_was",
    "strays": "it_ends_with_a_code_and_leaves_the_model_as_it_was",
}
POLICIES = {
    "sound": [],
    "adds": ["answers_are_shares_of_the_corpora_that_it_was_told_of"],
    "counts": ["what_it_is_told_twice_it_answers_twice"],
    "remembers": ["a_killed_run_goes_on_to_the_same_decisions"],
    "divides": ["a_corpus_without_a_share_is_no_trouble"],
    "takes": ["what_it_is_told_is_left_as_it_was"],
}
SELECTIONS = {
    "chooses": [],
    "toofew": ["choices_are_as_many_places_as_a_batch_has_each_once"],
    "twice": ["choices_are_as_many_places_as_a_batch_has_each_once"],
    "asked": ["what_it_is_told_twice_it_answers_twice"],
    "turns": ["a_killed_run_goes_on_to_the_same_choices"],
    "sorts": ["what_it_is_told_is_left_as_it_was"],
    "mixes": ["it_looks_at_more_sequences_than_a_batch_has", "the_mixture_stays"],
}
SCHEDULES = {
    "sound": [],
    "rises": ["rates_are_shares_of_the_peak"],
    "counts": ["a_rate_follows_from_its_arguments_alone"],
}
CONTRACT = {
    ("EvaluatorConformance", "eval_baseless"): "Baseless must subclass core.interfaces.Stage",
    ("EvaluatorConformance", "eval_misspelt"): "Misspelt.enviroment is no part of the contract: environment was meant",
    ("PosttrainConformance", "post_baseless"): "Baseless must subclass core.interfaces.Stage",
    ("PosttrainConformance", "post_misspelt"): "Misspelt.enviroment is no part of the contract: environment was meant",
    ("Initializers", "init_misspelt"): "chek_source is no part of the contract: check_source was meant",
    ("Initializers", "init_no_method"): "NoMethod.reads_tokens must be a method",
    ("StepConformance", "step_baseless"): "Baseless must subclass core.data.groups.GroupStep or",
    ("StepConformance", "step_misspelt"): "MisspeltStep.reports is no part of the contract: report was meant",
    ("StepConformance", "step_baseless_config"): "BaselessConfig must subclass core.interfaces.StepConfig",
    ("StepConformance", "step_misspelt_config"): "MisspeltConfig.input is no part of the contract: inputs was meant",
    ("StepConformance", "step_field"): "FieldConfig.inputs must be a method",
    ("ArchitectureConformance", "arch_baseless"): "Baseless must subclass core.interfaces.Architecture",
    (
        "ArchitectureConformance",
        "arch_misspelt",
    ): "flop_per_token is no part of the contract: flops_per_token was",
}
"""Kit and plugin of ``broken_contract.py``, and what the kit must say of it."""
SOUND = (
    ("EvaluatorConformance", "eval_sound"),
    ("PosttrainConformance", "post_sound"),
    ("Initializers", "init_sound"),
    ("StepConformance", "step_sound"),
)


class Initializers(smallwright_testing.Conformance):
    """The kit of a kind that has no class of its own."""

    kind = "initializers"
    where = "arch.initializer"


def of_the_sound(cases: dict[str, list[str]]) -> set[str]:
    """Return the tests that a sound plugin passes; that two ranks train ``gqa`` is seen in its own conformance test."""
    return {test for tests in cases.values() for test in tests} - {"two_ranks_train_as_one"}


def outcomes(folder: Path, base: str, prefix: str, cases: dict[str, list[str]], also: str = "") -> dict[str, str]:
    """Run the tests that ``cases`` names for broken plugins and for a sound one; return outcomes by class and test."""
    broken = {"arch": HERE / "broken_architectures.py", "step": HERE / "broken_steps.py"}[prefix]
    module = folder / "test_cases.py"
    every = sorted(of_the_sound(cases))
    classes = [
        f"class Test_{name}({base}):\n    plugin = '{prefix}_{name}'\n    plugin_files = ({str(broken)!r},)\n{also}\n"
        for name in (*cases, "sound")
    ]
    module.write_text(f"from smallwright_testing import {base}\n\n" + "\n".join(classes))
    chosen = [
        f"{module}::Test_{name}::test_{test}" for name, tests in {**cases, "sound": every}.items() for test in tests
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", "/dev/null", *chosen]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
    pattern = re.compile(r"^(PASSED|FAILED|ERROR) \S*::Test_(\w+)::test_(\w+)", re.MULTILINE)
    # An error is the run's own end, in the fixture that all tests of the class share: the mistake is found too.
    found = {
        f"{name}: {test}": outcome.replace("ERROR", "FAILED") for outcome, name, test in pattern.findall(ended.stdout)
    }
    assert len(found) == len(chosen), ended.stdout[-3000:] + ended.stderr[-1000:]
    return found


def expected(cases: dict[str, list[str]]) -> dict[str, str]:
    every = of_the_sound(cases)
    broken = {f"{name}: {test}": "FAILED" for name, tests in cases.items() for test in tests}
    return {**broken, **{f"sound: {test}": "PASSED" for test in every}}


@pytest.mark.slow
def test_mistakes_of_architectures_are_found(tmp_path):
    pytest.importorskip("smallwright_gqa", reason="the mistakes are made in gqa")
    pytest.importorskip("smallwright_pretrain", reason="the kit's own requirement")
    also = "    settings = {'num_hidden_layers': 2, 'hidden_size': 64, 'intermediate_size': 96}\n"
    assert outcomes(tmp_path, "ArchitectureConformance", "arch", ARCHITECTURES, also) == expected(ARCHITECTURES)


@pytest.mark.slow
def test_mistakes_of_steps_are_found(tmp_path):
    assert outcomes(tmp_path, "StepConformance", "step", STEPS) == expected(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "fails"), LAUNCHERS.items())
def test_mistakes_of_launchers_are_found(launcher, fails, tmp_path, monkeypatch):
    monkeypatch.setattr(launchers, "PATIENCE_SECONDS", 0.3)
    given = {"plugin": f"launch_{launcher}", "plugin_files": (str(HERE / "broken_launchers.py"),)}
    tests = type("Held", (smallwright_testing.LauncherConformance,), given)()
    for number, test in enumerate(sorted({test for tests in LAUNCHERS.values() for test in tests})):
        (folder := tmp_path / str(number)).mkdir()
        found = contextlib.nullcontext() if test not in fails else pytest.raises(AssertionError)
        if test in fails or launcher == "sound":
            with found:
                getattr(tests, f"test_{test}")(launchers.Sweep(folder / launchers.FOLDER))
            (folder / launchers.FOLDER / "go").touch()  # what was left running ends


@pytest.mark.parametrize(("tracker", "fails"), TRACKERS.items())
def test_mistakes_of_trackers_are_found(tracker, fails, tmp_path, monkeypatch):
    class Held(smallwright_testing.TrackerConformance):
        plugin = f"track_{tracker}"
        plugin_files = (str(HERE / "broken_trackers.py"),)

        def curves(self, run, stage):
            curves = {}
            for line in (run.directory / "numbers.jsonl").read_text().splitlines():
                step, *numbers = json.loads(line).items()
                for name, value in numbers:
                    if isinstance(value, int | float):
                        curves.setdefault(name, []).append((step[1], value))
            return curves

    monkeypatch.setattr(trackers, "PATIENCE_SECONDS", 0.1)
    for number, test in enumerate(sorted({test for tests in TRACKERS.values() for test in tests})):
        (folder := tmp_path / str(number)).mkdir()
        more = ("reused",) if test.startswith("a_stage") else ()
        if test in fails or tracker == "sound":
            with pytest.raises((AssertionError, AttributeError)) if test in fails else contextlib.nullcontext():
                getattr(Held(), f"test_{test}")(trackers.Followed(folder, Held.tracker()), *more)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "test"), COMMANDS.items())
def test_mistakes_of_model_commands_are_found(command, test, tmp_path, monkeypatch):
    given = {"plugin": f"command_{command}", "plugin_files": (str(HERE / "broken_model_commands.py"),)}
    kit = type("Held", (smallwright_testing.ModelCommandConformance,), given)
    (folder := tmp_path / "model").mkdir()
    for name, content in (("config.json", {"model_type": "llama"}), ("tokenizer.json", {})):
        (folder / name).write_text(json.dumps(content))
    model = NamedModel(named="model", directory=folder, planned=None)
    arguments = {"its_environment_is_text": (tmp_path,), "planning_imports_nothing_heavy": (model, tmp_path)}
    if test == "planning_imports_nothing_heavy":  # it asks another process, which reads a whole model
        model = NamedModel(named="model", directory=tiny_model(tmp_path / "whole") / "hf", planned=None)
        arguments[test] = (model, tmp_path)
    more = arguments.get(str(test), (model, tmp_path, monkeypatch))
    with pytest.raises(AssertionError) if test else contextlib.nullcontext():
        getattr(kit(), f"test_{test or 'it_ends_with_a_code_and_leaves_the_model_as_it_was'}")(*more)


@pytest.mark.parametrize(
    ("kit", "policy"),
    [("MixturePolicyConformance", one) for one in POLICIES]
    + [("SelectionPolicyConformance", one) for one in SELECTIONS],
)
def test_mistakes_of_policies_are_found(kit, policy):
    known = POLICIES if kit == "MixturePolicyConformance" else SELECTIONS
    given = {"plugin": f"policy_{policy}", "plugin_files": (str(HERE / "broken_policies.py"),)}
    tests, fails = type("Held", (getattr(smallwright_testing, kit),), given)(), known[policy]
    for test in sorted({test for tests in known.values() for test in tests}):
        if test in fails or (not fails and policy in ("sound", "chooses")):
            with pytest.raises((AssertionError, ZeroDivisionError)) if test in fails else contextlib.nullcontext():
                getattr(tests, f"test_{test}")()


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "fails"), SCHEDULES.items())
def test_mistakes_of_schedules_are_found(schedule, fails):
    given = {"plugin": f"schedule_{schedule}", "plugin_files": (str(HERE / "broken_schedules.py"),)}
    tests = type("Held", (smallwright_testing.ScheduleConformance,), given)()
    for test in sorted({test for tests in SCHEDULES.values() for test in tests}):
        if test in fails or schedule == "sound":
            with pytest.raises(AssertionError) if test in fails else contextlib.nullcontext():
                getattr(tests, f"test_{test}")()


def check_contract(kit: str, plugin: str) -> None:
    """Hold one of ``broken_contract.py`` against the contract."""
    base = Initializers if kit == "Initializers" else getattr(smallwright_testing, kit)
    given = {"plugin": plugin, "plugin_files": (str(HERE / "broken_contract.py"),)}
    tests = type("Held", (base,), given)()
    tests.test_it_subclasses_the_base_of_its_kind()
    tests.test_no_name_is_nearly_one_of_the_contract()


@pytest.mark.parametrize(("kit", "plugin"), CONTRACT)
def test_what_misses_the_contract_is_found(kit, plugin):
    with pytest.raises(AssertionError) as caught:
        check_contract(kit, plugin)
    assert CONTRACT[kit, plugin] in str(caught.value)


@pytest.mark.parametrize(("kit", "plugin"), SOUND)
def test_what_holds_the_contract_passes(kit, plugin):
    check_contract(kit, plugin)


def test_a_name_that_only_looks_like_one_of_the_contract_can_be_meant():
    files = {"plugin_files": (str(HERE / "broken_contract.py"),)}
    meant = {"plugin": "step_misspelt_config", "own_names": frozenset({"input"}), **files}
    tests = type("Held", (smallwright_testing.StepConformance,), meant)()
    tests.test_no_name_is_nearly_one_of_the_contract()
