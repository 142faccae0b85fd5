"""Labels by rules, and the settings of the scorers."""

import gzip
import json
import os
import random
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from core.config import build
from core.data.documents import ParquetSink, ReadDocuments
from core.data.steps import StepContext
from core.errors import ConfigError
from datatrove.data import Document
from smallwright_scorers.config import ScoreLlmConfig, ScoreRulesConfig
from smallwright_scorers.rules import ScoreRules, score_text

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[4].parent / "shared"))
LESSON = """Adding fractions: a lesson with worked examples

To add two fractions, first give them the same denominator. Remember that a fraction does not change when we multiply
numerator and denominator by the same number.

Example 1. Solve the problem {a}/{b} + 1/{c}.
Step 1: Find a common denominator. The product {b} × {c} = {bc} works, since both numbers divide it.
Step 2: Multiply. {a} × {c} = {ac} and 1 × {b} = {b}.
Step 3: Add the numerators: {ac} + {b} = {total}.
Therefore the sum is {total}/{bc}. Check your answer with a drawing.

Practice: find x when x + {a} = {c}. Hint: subtract {a} from both sides, then we get x = {c} - {a}. Explain why the
solution is right, and review the rule for fractions before the next lesson. Notice how each step follows from the one
before, and try to say in your own words which rule it uses.
"""
SHOP = "Running shoes number {a}, now on sale for ${b}.99. Free shipping! Add to cart. Customers like {c} socks too. "
NEWS = (
    "The mayor said on Tuesday that {a} people came to the festival, {b} more than last year, because of the weather. "
)
CONVERTER = (
    "Unit converter: convert {a} inches to cm. Conversion: 1 inch = 2.54 cm, {b} inches = {c} cm. More converters."
)


def numbers(generator):
    a, b, c = (generator.randrange(2, 90) for _ in range(3))
    return {"a": a, "b": b, "c": c, "bc": b * c, "ac": a * c, "total": a * c + b}


def write_corpus(folder, documents, files=1):
    for index in range(files):
        sink = ParquetSink(folder / f"{index:05d}.parquet")
        for document in documents[index::files]:
            sink.write(document)
        sink.close()
    return folder


@pytest.fixture(scope="module")
def documents():
    generator = random.Random(3)
    pages = [
        Document(text=template.format(**numbers(generator)) * repeat, id=f"{kind}-{number}", metadata={})
        for number in range(40)
        for kind, template, repeat in (("lesson", LESSON, 1), ("shop", SHOP, 5), ("news", NEWS, 5))
    ]
    generator.shuffle(pages)
    return pages


def run_step(step, corpus, work):
    """Run a corpus step's phases, then its pass over the corpus; return the documents."""
    step.bind(StepContext(label="step", position=0, seed=0))
    for phase in step.phases(corpus, work):
        for part in phase.pipeline:
            list(part.run())
    return list(step.pass_step(work).run(ReadDocuments(corpus).run()))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (LESSON.format(**numbers(random.Random(1))), 4, 5),
        (SHOP.format(**numbers(random.Random(1))) * 5, 0, 1),
        (NEWS.format(**numbers(random.Random(1))) * 5, 0, 0),
        (CONVERTER.format(**numbers(random.Random(1))), 1, 1),
        (
            "Every abelian category has an adjoint functor; the lemma is a corollary of $f \\circ g = h$, $x^2 = y$. "
            * 4,
            1,
            3,
        ),
        ("Call 555-1234 before 2024-05-01, 9-17h, or visit 12/14 Main Street.", 0, 0),
        ("", 0, 0),
    ],
)
def test_rules_follow_the_scale(text, low, high):
    assert low <= score_text(text) <= high


@pytest.mark.skipif(not (SHARED / "data/math_text").is_dir(), reason="real pages are not on this machine")
def test_rules_tell_real_lessons_from_real_web_pages():
    def texts(name):
        with gzip.open(SHARED / "data" / name, "rt", encoding="utf-8") as file:
            return [json.loads(line)["text"][:20_000] for line in file][:100]

    good = sum(score_text(text) >= 3 for text in texts("math_text/openlogic.jsonl.gz"))
    bad = sum(score_text(text) >= 3 for text in texts("web_text/c4_demo.jsonl.gz"))
    assert good >= 50
    assert bad <= 3


def test_labels_do_not_depend_on_files_or_order(documents, tmp_path):
    step = ScoreRules(ScoreRulesConfig(sample=30))
    runs = [
        run_step(step, write_corpus(tmp_path / f"corpus{n}", docs, files=n), tmp_path / f"work{n}")
        for n, docs in ((1, documents), (3, documents[::-1]))
    ]
    labels = [{d.id: d.metadata["label"] for d in run if "label" in d.metadata} for run in runs]
    assert labels[0] == labels[1]
    assert len(labels[0]) == 30
    assert [d.id for d in runs[0]] == [d.id for d in documents]
    assert {d.metadata["label_scorer"] for d in runs[0] if "label" in d.metadata} == {"rules"}
    report = json.loads((tmp_path / "work1" / "labels.report.json").read_text())
    assert report["labels"] == {str(k): v for k, v in sorted(Counter(labels[0].values()).items())}


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (ScoreRulesConfig, {"sample": 0}, "sample=0"),
        (ScoreLlmConfig, {"model": "a/b", "gpu_memory_utilization": 2.0}, "gpu_memory_utilization"),
    ],
)
def test_wrong_settings_are_refused(cls, settings, message):
    with pytest.raises(ConfigError, match=message):
        build(cls, settings, "x")


@pytest.mark.parametrize(
    ("option", "cls", "extra"), [("rules", ScoreRulesConfig, {}), ("llm", ScoreLlmConfig, {"model": "a/b"})]
)
def test_scorer_options_list_every_setting_with_its_default(option, cls, extra):
    from omegaconf import OmegaConf

    text = files("smallwright_scorers.conf").joinpath(f"data/scorer/{option}.yaml").read_text()
    loaded = OmegaConf.to_container(OmegaConf.create(text))
    assert loaded.pop("use") == f"score_{option}"
    assert set(loaded) == set(cls.__dataclass_fields__)
    assert build(cls, {**loaded, **extra}, "x") == cls(**extra)
