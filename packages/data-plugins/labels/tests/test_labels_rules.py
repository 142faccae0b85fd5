"""Labels by rules in every domain, on texts written here and on real ones."""

import glob
import gzip
import json
import os
import random
import re
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from core.errors import ConfigError
from core.typed import build
from datatrove.data import Document
from smallwright_labels.config import ScoreLlmConfig, ScoreRulesConfig
from smallwright_labels.rules import SCALES, ScoreRules, score_text
from smallwright_labels.rules_code import DEFINITION, FUNCTION
from smallwright_labels.rules_maths import EXPRESSION
from smallwright_labels.rules_maths import read_signs as maths

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[4].parent / "shared"))
FRACTIONS = """Adding fractions: a lesson with worked examples

To add two fractions, first give them the same denominator. Remember that a fraction does not change when we multiply
numerator and denominator by the same number.

Example 1. Solve the problem 3/4 + 1/6.
Step 1: Find a common denominator. The product 4 × 6 = 24 works, since both numbers divide it.
Step 2: Multiply. 3 × 6 = 18 and 1 × 4 = 4.
Step 3: Add the numerators: 18 + 4 = 22.
Therefore the sum is 22/24. Check your answer with a drawing.

Practice: find x when x + 3 = 6. Hint: subtract 3 from both sides, then we get x = 6 - 3. Explain why the
solution is right, and review the rule for fractions before the next lesson. Notice how each step follows from the one
before, and try to say in your own words which rule it uses.
"""
PHOTOSYNTHESIS = """# How plants make food

## Introduction

All living organisms need energy. Animals eat, but plants make their own food from sunlight, water and carbon dioxide.
This process is called photosynthesis. It takes place in the cells of the leaves, because they contain chlorophyll.

## What happens in a leaf?

1. Water moves from the soil through the roots. For example, a large tree takes up hundreds of litres each day.
2. Carbon dioxide from the atmosphere enters through small openings, which are known as stomata.
3. Light energy splits water into hydrogen and oxygen. The oxygen leaves the plant, so that animals can breathe it.
4. The plant uses hydrogen and carbon to build sugar molecules. As a result, energy is stored in the plant.

## Why is it important?

Without photosynthesis there would be little oxygen in the atmosphere. In other words, most ecosystems depend on plants.
If plants receive no light, they cannot make sugar; that is why a plant in a dark room becomes weak. Unlike animals,
plants do not move to find food. Temperature matters too, due to the enzymes that are at work.

## Summary

- Photosynthesis consists of two stages, such as the splitting of water and the building of sugar.
- It leads to oxygen and sugar; this means it feeds plants, insects, mammals and humans.

## Questions

1. Explain what a plant needs. What are the products?
2. Describe an experiment to observe that leaves give off oxygen. How would you measure the temperature of the water?
3. Compare plants and animals: what is the difference in how they get energy? Discuss your answer in class.

Key terms: chlorophyll, stomata, glucose. Review the definitions, then solve the exercises of this unit.
"""
SHOP = "Running shoes number 5, now on sale for $9.99. Free shipping! Add to cart. Customers like 3 socks too. " * 5
NEWS = (
    "The mayor said on Tuesday that 500 people came to the festival, 20 more than last year, because of the rain. " * 5
)
CONVERTER = "Unit converter: convert 5 inches to cm. Conversion: 1 inch = 2.54 cm, 2 inches = 5.08 cm. More converters."
ABSTRACT = (
    "Every abelian category has an adjoint functor; the lemma is a corollary of $f \\circ g = h$, $x^2 = y$. " * 4
)

LESSON_CODE = '''"""Binary search, explained step by step for students who learn about algorithms.

Problem: find where a number stands in a sorted list. Looking at each number in turn takes n steps. We can do better,
because the list is sorted: each comparison tells us which half to drop.
"""


def binary_search(numbers, wanted):
    """Return the place of wanted in numbers, or None when it is not there.

    Example: binary_search([1, 4, 9], 4) returns 1.
    """
    # Step 1: at first the number can be anywhere, so the range is the whole list.
    low, high = 0, len(numbers) - 1
    # Step 2: repeat while there is a range left to search.
    while low <= high:
        # The middle divides the range into two halves.
        middle = (low + high) // 2
        if numbers[middle] == wanted:
            return middle  # we have found it, so this is the solution
        # Step 3: then drop the half that cannot hold the number.
        if numbers[middle] < wanted:
            low = middle + 1  # everything to the left is too small
        else:
            high = middle - 1  # everything to the right is too large
    # The range is empty, therefore the number is not in the list.
    return None


if __name__ == "__main__":
    # Exercise: try other lists. Why does it take only four steps for ten numbers?
    print(binary_search([1, 3, 5, 7, 9, 11, 13, 15, 17, 19], 15))
'''
BARE_CODE = "def f(a, b):\n    for x in a:\n        if x in b:\n            return x\n    return None\n"
TABLE = "codes = {\n" + "".join(f"    {i}: '{i:04x}',\n" for i in range(50)) + "}\n"
SQL = "-- which customers have ordered most, and how often\nselect name, count(*)\nfrom orders\njoin people on p = id\n"
SQL += "-- each group is one customer, so that rows are counted per name\ngroup by name\n"
SQL += "-- the largest first, then cut to the ten that we want\norder by 2 desc\n"
SQL += "limit 10;\ncreate table top_ten (name text, orders int);\n"


def texts(name):
    with gzip.open(SHARED / "data" / name, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"][:20_000] for line in file][:100]


@pytest.mark.parametrize(
    ("text", "domain", "low", "high"),
    [
        (FRACTIONS, "maths", 4, 5),
        (SHOP, "maths", 0, 1),
        (NEWS, "maths", 0, 0),
        (CONVERTER, "maths", 1, 1),
        (ABSTRACT, "maths", 1, 3),
        ("Call 555-1234 before 2024-05-01, 9-17h, or visit 12/14 Main Street.", "maths", 0, 0),
        ("", "maths", 0, 0),
        (FRACTIONS, "maths_3", 3, 3),
        (ABSTRACT, "maths_3", 1, 2),
        (CONVERTER, "maths_3", 0, 1),
        (NEWS, "maths_3", 0, 0),
        ("", "maths_3", 0, 0),
        (PHOTOSYNTHESIS, "education", 5, 5),
        (PHOTOSYNTHESIS[:800], "education", 1, 3),
        (PHOTOSYNTHESIS + SHOP * 5, "education", 0, 2),
        (NEWS, "education", 0, 0),
        ("", "education", 0, 0),
    ],
)
def test_rules_follow_the_scales(text, domain, low, high):
    assert low <= score_text(text, domain) <= high


@pytest.mark.parametrize(
    ("text", "language", "low", "high"),
    [
        (LESSON_CODE, "Python", 5, 5),
        (BARE_CODE, "python", 2, 2),
        (TABLE, "Python", 1, 1),
        ("# do not edit, generated by a tool\n" + LESSON_CODE, "Python", 1, 1),
        (SQL, "SQL", 3, 4),
        (SQL, "Java", 2, 2),  # what starts a comment depends on the language
        ("x = 1", "Python", 0, 0),
        ("", "", 0, 0),
        (PHOTOSYNTHESIS, "Markdown", 2, 5),
    ],
)
def test_rules_for_code_follow_the_scale(text, language, low, high):
    assert low <= score_text(text, "code", language) <= high


@pytest.mark.parametrize(
    "part", ["\n", " ", "a(", "a b", "public ", '"""', "=begin\n", "```\n", "/*", "* * ", "x=", "step ", "$a"]
)
def test_pages_of_one_sign_end_too(part):
    """Patterns that try every start against every end would take minutes here."""
    page = part * (20_000 // len(part))
    scores = {score_text(page, domain) for domain in ("maths", "maths_3", "education")}
    scores |= {score_text(page, "code", language) for language in ("Python", "C", "SQL", "Markdown", "")}
    assert scores <= {0, 1, 2}


PLAIN_EXPRESSION = re.compile(
    r"(?<![\w.-])(?:\d[\d.,]*[a-z]?|[a-z]|\))\s?(?:[+*×·÷=<>≤≥≈≠^]|\s[-−/:]\s)\s?[-−]?\(?(?:\d|[a-z]\b|\\)"
)
"""The pattern as one would write it first, which is quadratic in a list of numbers."""
PLAIN_DEFINITION = re.compile(DEFINITION.pattern.removesuffix(f"|{FUNCTION}").replace("*+", "*"), re.I)


def test_the_fast_patterns_find_what_the_plain_ones_do():
    chance = random.Random(4)
    for _ in range(3000):
        text = "".join(chance.choices(["1", "2", ",", ".", "a", " ", "=", "+", " - ", ")", "x", "\n"], k=30))
        assert len(EXPRESSION.findall(text)) == len(PLAIN_EXPRESSION.findall(text)), text
        words = ["public", "static", "open", "async", "foo", "if", "(", ")", " ", " ", " {", "class", "x", ","]
        line = "".join(chance.choices(words, k=10)).strip()
        assert bool(DEFINITION.match(line)) == bool(PLAIN_DEFINITION.match(line)), line


@pytest.mark.parametrize("part", ["1,", "1,,", "1.", "1,a ", "12,345.6, ", ")", "1 ", "$=", "step 1. "])
def test_patterns_take_linear_time(part):
    """Ten times what the step shows them: quadratic ones would take minutes."""
    begun = time.process_time()
    maths(part * (200_000 // len(part)))
    DEFINITION.match("public (" * 25_000)
    assert time.process_time() - begun < 5


@pytest.mark.slow
def test_rules_tell_documented_modules_from_tables_of_characters():
    library = Path(os.__file__).parent

    def share(pattern):
        sources = [
            Path(path).read_text(errors="replace")[:20_000] for path in sorted(glob.glob(str(library / pattern)))
        ]
        assert len(sources) > 20
        return sum(score_text(source, "code", "Python") >= 3 for source in sources) / len(sources)

    assert share("*.py") > 0.7
    assert share("encodings/cp*.py") < 0.1


@pytest.mark.skipif(not (SHARED / "data/math_text").is_dir(), reason="real pages are not on this machine")
@pytest.mark.parametrize(("domain", "threshold"), [("maths", 3), ("maths_3", 2), ("education", 2)])
def test_rules_tell_real_textbooks_from_real_web_pages(domain, threshold):
    def share(name):
        found = texts(name)
        return sum(score_text(text, domain) >= threshold for text in found) / len(found)

    books = (share("math_text/openlogic.jsonl.gz") + share("math_text/d2l_en.jsonl.gz")) / 2
    assert books > 2 * share("web_text/c4_demo.jsonl.gz")
    assert books > 0.25


def test_labels_depend_neither_on_files_nor_on_order_nor_on_ranks(tmp_path, write_corpus, run_corpus_step):
    generator = random.Random(3)
    pages = [
        Document(text=text, id=f"page-{number}-{place}", metadata={})
        for number in range(40)
        for place, text in enumerate((FRACTIONS, SHOP, NEWS))
    ]
    generator.shuffle(pages)
    runs = []
    for shards, documents in ((1, pages), (3, pages[::-1])):
        corpus = write_corpus(tmp_path / f"corpus{shards}", documents, shards)
        step = ScoreRules(ScoreRulesConfig(sample=30))
        found, tables = run_corpus_step(step, corpus, tmp_path / f"work{shards}", tmp_path / f"reports{shards}")
        assert tables["labels"].total() == 30
        runs.append({document.id: document.metadata for document in found})
    labels = [{name: metadata["label"] for name, metadata in run.items() if "label" in metadata} for run in runs]
    assert labels[0] == labels[1]
    assert (len(labels[0]), len(runs[0])) == (30, len(pages))
    one = next(metadata for metadata in runs[0].values() if "label" in metadata)
    about = {key: one[f"label_{key}"] for key in ("scorer", "scale", "prompt")}
    assert about == {"scorer": "rules", "scale": SCALES["maths"], "prompt": "maths"}
    report = json.loads((tmp_path / "work1" / "labels.report.json").read_text())
    assert report["labels"] == {str(k): v for k, v in sorted(Counter(labels[0].values()).items())}
    with gzip.open(tmp_path / "reports1" / "labels.jsonl.gz", "rt") as file:
        assert {record["id"]: record["label"] for record in map(json.loads, file)} == labels[0]


def test_metadata_says_which_language_the_code_is(tmp_path, write_corpus, run_corpus_step):
    documents = [Document(text=SQL, id=language, metadata={"lang": language}) for language in ("SQL", "Java")]
    step = ScoreRules(ScoreRulesConfig(domain="code", prompt_by="lang", key="first"))
    found, _ = run_corpus_step(step, write_corpus(tmp_path / "corpus", documents), tmp_path / "work")
    scores = {document.id: document.metadata["first"] for document in found}
    assert scores["SQL"] > scores["Java"]
    assert (tmp_path / "work" / "labels.report.json").is_file()


@pytest.mark.parametrize(
    ("option", "cls", "extra"), [("rules", ScoreRulesConfig, {}), ("llm", ScoreLlmConfig, {"model": "a/b"})]
)
def test_scorer_options_list_every_setting_with_its_default(option, cls, extra):
    from omegaconf import OmegaConf

    text = files("smallwright_labels.conf").joinpath(f"data/scorer/{option}.yaml").read_text()
    loaded = OmegaConf.to_container(OmegaConf.create(text))
    assert loaded.pop("use") == f"score_{option}"
    assert set(loaded) == set(cls.__dataclass_fields__)
    assert build(cls, {**loaded, **extra}, "x") == cls(**extra)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample": 0}, "sample=0"),
        ({"domain": "music"}, "domain=music"),
        ({"key": "my label"}, "key='my label'"),
        ({"balance_by": "score", "sample": None}, "needs a sample"),
        ({"balance_shares": {"0": 1}}, "needs balance_by"),
        ({"balance_by": "score", "balance_shares": {"low": 1}}, "whole scores"),
        ({"balance_by": "score", "balance_shares": {"0": 0}}, "not all 0"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(ScoreRulesConfig, settings, "x")
