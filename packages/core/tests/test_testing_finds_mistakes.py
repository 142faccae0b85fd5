"""The conformance kit fails where a plugin is wrong: each test of the kit is shown a mistake that it must find."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = Path(__file__).with_name("broken_plugins.py")
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


def of_the_sound(cases: dict[str, list[str]]) -> set[str]:
    """Return the tests that a sound plugin passes; that two ranks train ``gqa`` is seen in its own conformance test."""
    return {test for tests in cases.values() for test in tests} - {"two_ranks_train_as_one"}


def outcomes(folder: Path, base: str, prefix: str, cases: dict[str, list[str]], also: str = "") -> dict[str, str]:
    """Run the tests that ``cases`` names for broken plugins and for a sound one; return outcomes by class and test."""
    module = folder / "test_cases.py"
    every = sorted(of_the_sound(cases))
    classes = [
        f"class Test_{name}({base}):\n    plugin = '{prefix}_{name}'\n    plugin_files = ({str(BROKEN)!r},)\n{also}\n"
        for name in (*cases, "sound")
    ]
    module.write_text(f"from core.testing import {base}\n\n" + "\n".join(classes))
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
