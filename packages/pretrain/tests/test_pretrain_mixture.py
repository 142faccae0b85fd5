"""What mixtures mean, and which are refused."""

from fractions import Fraction

import numpy as np
import pytest
from core.errors import ConfigError
from smallwright_pretrain.mixture import checked, parts, shares, whole_counts

STAGE_4 = {
    "web": {"share": 0.58, "of": {"fineweb_edu": 0.4, "dclm": 0.6}},
    "stack_edu": 0.24,
    "math": {"share": 0.14, "of": {"finemath": "139/140", "owm": "8/1400", "auggsm8k": "2/1400"}},
    "cosmopedia": 0.04,
}
"""SmolLM2's last stage (arXiv 2502.02737, section 4.4)."""
AMBER = {
    "arxiv": 30.00,
    "book": 28.86,
    "c4": 197.67,
    "refinedweb": 665.01,
    "starcoder": 291.92,
    "se": 21.75,
    "wiki": 23.9,
}
"""Billions of tokens (arXiv 2312.06550, table 2)."""


def test_groups_are_shares_of_shares_exactly():
    found = {part.corpus: part.share for part in parts(STAGE_4)}
    assert found["fineweb_edu"] == Fraction(58, 100) * Fraction(4, 10)
    assert found["owm"] == Fraction(8, 10_000)
    assert sum(found.values()) == 1
    counts, error = whole_counts(list(found.values()), 1_000_000)
    assert (sum(counts), error) == (5000, 0.0)


def test_thirds_need_no_exact_sum():
    assert [part.share for part in parts({"a": 0.3333333, "b": 0.3333333, "c": 0.3333333})] == [Fraction(1, 3)] * 3
    assert [part.share for part in parts({"a": "1/3", "b": "2/3"})] == [Fraction(1, 3), Fraction(2, 3)]


def test_a_group_hands_view_and_wrap_on_to_its_corpora():
    group = {"share": 0.5, "view": "long", "wrap": False, "of": {"a": 0.5, "b": {"share": 0.5, "view": "all"}}}
    found = parts({"books": group, "c": 0.5})
    assert [(part.source, part.wrap) for part in found] == [("a (long)", False), ("b", False), ("c", True)]


def test_no_mixture_is_in_proportion_to_the_tokens():
    assert shares(None, {"a": 30, "b": 10}) == {"a": 0.75, "b": 0.25}
    assert shares({"b": 0.1, "a": 0.9}, {"a": 30, "b": 10}) == {"b": 0.1, "a": 0.9}


@pytest.mark.parametrize("seed", range(5))
def test_shares_with_no_common_denominator_are_rounded_by_the_largest_remainder(seed):
    random = np.random.default_rng(seed)
    fractions = [Fraction(share) for share in random.dirichlet(np.full(int(random.integers(2, 31)), 0.2))]
    fractions = [share / sum(fractions) for share in fractions]
    counts, error = whole_counts(fractions, 1_000_000)
    assert 0 < error <= 31 / 1_000_000
    assert abs(sum(counts) - 1_000_000) <= 30
    assert all(count > 0 for count in counts)


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({"a": 0.5, "b": 0.4}, r"^mixture: the shares sum to 0\.9 \(0\.5 \+ 0\.4\), and must sum to 1\.$"),
        ({"a": 1.5, "b": -0.5}, r"^mixture\.a=1\.5: must be a share from 0 to 1, such as 0\.4 or 1/3\.$"),
        ({"b": -0.5, "a": 1.5}, r"^mixture\.b=-0\.5: must be a share"),
        ({"a": "half", "b": 0.5}, r"^mixture\.a=half: must be a share"),
        ({"a": True}, r"^mixture\.a=True: must be a share"),
        ({"a": "1/0", "b": 1}, r"^mixture\.a=1/0: must be a share"),
        ({}, r"^mixture=\{\}: must give a share to at least one corpus"),
        ({"web": {"of": {"a": 1}}}, r"^mixture\.web: has no share\. Give it one, such as mixture\.web\.share=0\.5\.$"),
        ({"web": {"share": 1, "a": 0.6, "b": 0.4}}, r"^mixture\.web\.a: unknown key\. .*\{share: \.\.\., of: \{a: "),
        ({"web": {"share": 1, "of": {"a": 0.6, "b": 0.5}}}, r"^mixture\.web\.of: the shares sum to 1\.1"),
        ({"web": {"share": 1, "of": {}}}, r"^mixture\.web\.of=\{\}: must give a share"),
        (
            {"a": 0.5, "w": {"share": 0.5, "of": {"a": 1}}},
            r"^mixture: names a more than once\. Name each corpus once\.$",
        ),
        ({"a": {"share": 1, "view": "short"}}, r"^mixture\.a\.view=short: must be one of all, long\.$"),
        ({"a": {"share": 1, "wrap": "no"}}, r"^mixture\.a\.wrap=no: must be true or false\.$"),
        (
            {"a": 0.5, "c": {"share": 0.5}},
            r"^mixture: this run has no corpus c\. It has a, b; a group of them is \{c: \{",
        ),
    ],
)
def test_what_is_no_mixture_of_this_run_is_refused_in_one_line(mixture, message):
    with pytest.raises(ConfigError, match=message):
        checked(mixture, ["a", "b"])
