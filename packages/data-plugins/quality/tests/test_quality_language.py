"""Language identification: both engines, what is written down, what is kept. Seconds: 4."""

import gzip
import json
import lzma
import os
import struct
from pathlib import Path

import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from core.typed import build
from datatrove.data import Document
from smallwright_quality.config import LanguageConfig
from smallwright_quality.language import Language

SHARED = Path(os.environ.get("SMALLWRIGHT_SHARED", Path(__file__).resolve().parents[5] / "shared"))
ENGLISH = "The cat sat on the mat, and the dog that lives with us did not have to be told of it. " * 5
GERMAN = "Der Hund und die Katze lebten lange Zeit zusammen in einem kleinen Haus am Rande des Waldes. " * 5


def apply(step, text):
    step.bind(StepContext(label="language", position=0, seed=0))
    document = Document(text=text, id="a")
    kept = list(step.run(iter([document])))
    return document.metadata, bool(kept), dict(step._ledger.rejected + step._ledger.failed)


def test_english_is_kept_and_the_rest_named():
    step = Language(LanguageConfig())
    metadata, kept, _ = apply(step, ENGLISH)
    assert kept
    assert metadata["language"] == "en"
    assert metadata["language_score"] >= 0.65
    assert apply(step, GERMAN)[1:] == (False, {"language": 1})
    assert apply(step, "12345 67890 !!")[1:] == (False, {"language": 1})
    assert apply(Language(LanguageConfig(margin_scale=1000.0, max_rank=5000)), ENGLISH)[1:] == (
        False,
        {"language score": 1},
    )
    assert apply(Language(LanguageConfig(threshold=None, max_rank=5000)), "The dog and the")[0]["language_score"] > 0


@pytest.mark.parametrize("change", [str.upper, str.title, lambda text: text[:200].upper() + text[200:]])
def test_capitals_are_of_the_same_language(change):
    mill = """The mill stands by the river and the wheel turns all day. When the water is low the miller waits for rain,
    and when it is high he opens the gate. The children of the village come to see the stones and to ask for flour. In
    the winter the river freezes, and the old man mends his tools and reads by the fire."""
    russian = """Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью
    и должны поступать в отношении друг друга в духе братства. Каждый человек имеет право на жизнь, на свободу."""
    step = Language(LanguageConfig(languages=None))
    assert apply(step, change(mill))[0] == {"language": "en", "language_score": 1.0}
    assert apply(step, change(russian))[0]["language"] == "ru"


SHORT = [
    "OK",
    "Hello world",
    "READ MORE",
    "Home About Contact",
    "你好，世界",
    "Привет",
    "1 a 2 b 3 c",
    "ÉCOLE DES FILLES",
]
PIECES = [
    "Select your preferred payment method (i.e. card type or PayPal) and order",
    "to imports but tolerated foreign discrimination against American goods. American consumers and corporations",
]


@pytest.mark.parametrize("text", [*SHORT, *PIECES])
def test_short_text_is_unknown_rather_than_another_language(text):
    assert apply(Language(LanguageConfig(languages=None)), text)[0]["language"] in ("unknown", "en")
    assert apply(Language(LanguageConfig(languages=None)), text[:50])[0]["language"] == "unknown"


def test_null_records_and_rejects_nothing():
    step = Language(LanguageConfig(languages=None, top_k=3))
    metadata, kept, _ = apply(step, GERMAN)
    assert kept
    assert metadata["language"] == "de" == next(iter(metadata["languages"]))
    assert len(metadata["languages"]) == 3
    assert metadata["languages"]["de"] == metadata["language_score"]
    assert apply(step, "12345")[:2] == ({"language": "unknown", "language_score": 0.0, "languages": {}}, True)
    assert dict(step._ledger.tables["languages"]) == {"unknown": 1}


def test_the_score_does_not_depend_on_how_many_languages_are_written_down():
    scores = {apply(Language(LanguageConfig(top_k=k)), ENGLISH)[0]["language_score"] for k in (0, 1, 20)}
    assert len(scores) == 1


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"lid\.176"):
        build(LanguageConfig, {"backend": "fasttext"}, "data.steps.language")
    with pytest.raises(ConfigError, match="languages is empty"):
        build(LanguageConfig, {"languages": []}, "data.steps.language")
    with pytest.raises(ConfigError, match="'eng' is unknown"):
        apply(Language(LanguageConfig(languages=("eng",))), ENGLISH)


def write_fasttext_model(path):
    """Write a supervised fastText model of two languages and a few words each, in fastText's binary format (v12)."""
    words = {"the": "en", "and": "en", "dog": "en", "der": "de", "und": "de", "hund": "de"}
    labels = ["en", "de"]
    with open(path, "wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        # dim ws epoch minCount neg wordNgrams loss(softmax) model(supervised) bucket minn maxn lrUpdateRate t
        file.write(struct.pack("<12id", 2, 5, 1, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4))
        file.write(struct.pack("<iiiqq", len(words) + len(labels), len(words), len(labels), 100, -1))
        for number, name in enumerate([*words, *(f"__label__{label}" for label in labels)]):
            file.write(name.encode() + b"\0" + struct.pack("<qb", 10, number >= len(words)))
        file.write(struct.pack("<?qq", False, len(words), 2))
        file.write(b"".join(struct.pack("<2f", 5.0 * (of == "en"), 5.0 * (of == "de")) for of in words.values()))
        file.write(struct.pack("<?qq", False, 2, 2) + struct.pack("<4f", 1.0, 0.0, 0.0, 1.0))


def test_fasttext_engine(tmp_path):
    pytest.importorskip("fasttext")
    write_fasttext_model(tmp_path / "lid.bin")
    config = {"backend": "fasttext", "model": str(tmp_path / "lid.bin"), "top_k": 2}
    step = Language(LanguageConfig(**config))
    metadata, kept, _ = apply(step, "the dog\nand the dog")
    assert kept
    assert metadata["language"] == "en"
    assert metadata["language_score"] == pytest.approx(0.9933, abs=1e-3)  # softmax of (5, 0)
    assert list(metadata["languages"]) == ["en", "de"]
    assert apply(step, "der hund und der hund")[1:] == (False, {"language": 1})
    assert apply(step, "the hund")[1] is False  # 0.5 each
    for text in ("", "\n\n", "the\x00dog", "\ud800 the dog"):
        assert apply(step, text)[2].get("UnicodeEncodeError") is None


def test_a_missing_or_broken_model_is_found_before_any_work(tmp_path):
    pytest.importorskip("fasttext")
    (tmp_path / "broken.bin").write_bytes(b"no model")
    for name, message in (("none.bin", "no such file"), ("broken.bin", "not a fastText model")):
        step = Language(LanguageConfig(backend="fasttext", model=str(tmp_path / name)))
        with pytest.raises(InputError, match=message):
            step.bind(StepContext(label="language", position=0, seed=0))


@pytest.mark.skipif(not (SHARED / "data/languages/udhr.jsonl.xz").is_file(), reason="needs the shared language data")
def test_precision_and_recall_on_real_texts():
    step = Language(LanguageConfig())
    with lzma.open(SHARED / "data/languages/udhr.jsonl.xz", "rt") as file:
        rows = [json.loads(line) for line in file]
    others = [row["text"][:1000] for row in rows if row["iso639_3"] != "eng"]
    wrong = sum(apply(step, text)[1] for text in others)
    with gzip.open(SHARED / "data/web_text/c4_demo.jsonl.gz", "rt") as file:
        english = [json.loads(line)["text"] for line in file]
    right = sum(apply(step, text)[1] for text in english)
    assert wrong / len(others) < 0.01
    assert right / len(english) > 0.95
