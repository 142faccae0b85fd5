"""Decontamination by both rules against their plain forms, any benchmark file, and the report both ways. 2 seconds."""

import difflib
import gzip
import json
import pickle
import random
import re
import unicodedata

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from datatrove.data import Document
from smallwright_dedup.benchmarks import Item, read_items
from smallwright_dedup.config import DecontaminateConfig
from smallwright_dedup.decontaminate import Decontaminate, names_in_reports
from smallwright_dedup.matching import ItemIndex, TooManyMatches, longest_common_subsequence

ITEM = "Natalia sold clips to forty eight of her friends in April and then she sold half as many clips in May"


def contaminate(tmp_path, text, **settings):
    items = tmp_path / "toy.jsonl"
    items.write_text(
        json.dumps({"question": ITEM, "answer": "72"})
        + "\n"
        + json.dumps({"context": "short", "choices": ["a"], "label": 0})
    )
    step = Decontaminate(DecontaminateConfig(against=(str(items),), **settings))
    step.bind(StepContext(label="clean", position=0, seed=0))
    document = Document(text=text, id="a")
    kept = list(pickle.loads(pickle.dumps(step)).run(iter([document])))
    return bool(kept), document.metadata


def test_decontaminate_finds_an_edited_item_in_a_long_page(tmp_path):
    filler = "Some other sentence about the weather of the day. " * 100
    words = ITEM.split()
    edited = " ".join([*words[:14], "quickly", *words[15:]])
    kept, metadata = contaminate(tmp_path, f"{filler} {edited.upper()}? {filler}")
    assert not kept
    assert metadata["contaminated_by"] == "toy:0"
    assert metadata["contamination_ratio"] > 0.9
    assert metadata["contamination_match"] in ITEM.lower()


def test_decontaminate_needs_both_the_ngram_and_the_ratio(tmp_path):
    words = ITEM.split()
    scattered = " ".join(word + (" etc" if i % 6 == 5 else "") for i, word in enumerate(words))
    assert contaminate(tmp_path, scattered)[0]
    long_tail = " ".join([*words[:12], "x", "y"] * 3)
    assert contaminate(tmp_path, long_tail)[0]
    assert contaminate(tmp_path, " ".join(words[:13]) + " and rain fell on all the fields " * 3, ratio=0.9)[0]
    assert not contaminate(tmp_path, " ".join(words[:13]) + " and rain fell on all the fields " * 3, ratio=0.6)[0]


def test_decontaminate_refuses_wrong_files(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"title": "x"}\n')
    step = Decontaminate(DecontaminateConfig(against=(str(tmp_path / "bad.jsonl"),)))
    with pytest.raises(InputError, match="line 1"):
        step.bind(StepContext(label="clean", position=0, seed=0))
    with pytest.raises(InputError, match="no file"):
        Decontaminate(DecontaminateConfig(against=("none/such.jsonl",))).bind(
            StepContext(label="c", position=0, seed=0)
        )


def test_lcs_equals_the_plain_recurrence():
    chance = random.Random(1)
    for _ in range(100):
        a = chance.choices(range(5), k=chance.randint(0, 90))
        b = chance.choices(range(5), k=chance.randint(0, 90))
        row = [0] * (len(b) + 1)
        for x in a:
            above = row[:]
            for j, y in enumerate(b):
                row[j + 1] = above[j] + 1 if x == y else max(above[j + 1], row[j])
        assert longest_common_subsequence(a, b) == row[-1]


def cosmopedia(document, item):
    """The published rule, as its code has it: share of the item in matching blocks of more than 5 characters."""

    def plain(text):
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
        return " ".join(re.findall(r"\w+", text.lower()))

    document, item = plain(document), plain(item)
    blocks = difflib.SequenceMatcher(None, document, item, autojunk=False).get_matching_blocks()
    match = "".join(document[block.a : block.a + block.size] for block in blocks if block.size > 5)
    return len(" ".join(match.split())) / len(item)


def difflib_index(items):
    return ItemIndex(
        [Item(benchmark="b", id=str(i), texts=(text,)) for i, text in enumerate(items)], 10, "difflib", None
    )


def test_difflib_rule_equals_the_published_one():
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdeéÜ", k=chance.randint(2, 8))) for _ in range(300)]
    items = [" ".join(chance.choices(words, k=40)) for _ in range(5)]
    index = difflib_index(items)
    above = below = 0
    for _ in range(40):
        number = chance.randrange(5)
        item = items[number].split()
        length = chance.randint(10, 40)
        start = chance.randrange(0, 41 - length)
        text = " ".join([*chance.choices(words, k=30), *item[start : start + length], *chance.choices(words, k=30)])
        expected = cosmopedia(text, items[number])
        found = {match.item.id: match.ratio for match in index.match(text, 0.5, 20_000, 20_000)[0]}
        if expected > 0.5:
            assert found[str(number)] == expected
            above += 1
        else:
            assert str(number) not in found
            below += 1
    assert min(above, below) > 5


@pytest.mark.parametrize("rule", ["lcs", "difflib"])
def test_words_of_other_vowel_signs_are_not_the_item(rule):
    item = "राम ने सीता को कील दी और वह घर के पास नदी की ओर धीरे से चल कर गई थी"
    other = "रूम नी सूता के कुल दा अर वे घेर का पिस नाद कु अर धारा सा चाल केर गाई था"
    index = ItemIndex([Item(benchmark="b", id="0", texts=(item,))], 10, rule, None)
    assert [match.item.id for match in index.match(f"आज {item} कल", 0.5, 20_000, 20_000)[0]] == ["0"]
    assert not index.match(other, 0.5, 20_000, 20_000)[0]


def test_difflib_looks_at_windows_of_long_documents():
    filler = " ".join(f"filler{i}" for i in range(5000))
    index = difflib_index([ITEM])
    text = f"{filler} {ITEM} {filler}"
    matches, cut = index.match(text, 0.5, 20_000, 2000)
    assert cut
    assert [match.item.id for match in matches] == ["0"]
    assert matches[0].ratio == 1.0
    beginning = " ".join(ITEM.split()[:11])
    assert index.match(f"{filler} {beginning} {filler}", 0.9, 20_000, 2000) == ([], True)  # looked at, in a window
    assert index.match(f"{filler} {filler}", 0.5, 20_000, 2000) == ([], False)  # long, but nothing to compare


def test_difflib_finds_an_item_that_a_window_cuts():
    item = [f"question{i:03d}" for i in range(40)]
    index = difflib_index([" ".join(item)])
    filler = [f"x{i:05d}" for i in range(2000)]
    quoted, edited = item[:10], [*item[:10], *(word + "s" for word in item[10:])]
    text = " ".join([*filler[:1000], *quoted, *filler[1000:1110], *edited, *filler[1110:]])
    places = [place.start() for place in re.finditer("question000", text)]
    assert places[0] + 1000 > places[1] > places[0] + 1000 - len(" ".join(item))  # the first one's window ends here
    assert [match.item.id for match in index.match(text, 0.9, 20_000, 2000)[0]] == ["0"]


def test_a_page_of_repeated_items_is_given_up():
    index = ItemIndex([Item(benchmark="b", id=str(i), texts=(f"{ITEM} {i}",)) for i in range(300)], 13, "lcs", None)
    with pytest.raises(TooManyMatches):
        index.match(f"{ITEM} . " * 300, 0.6, 1000, 20_000)
    document = Document(text="x", id="a")
    assert index.match(document.text, 0.6, 1000, 20_000) == ([], False)


def test_files_of_all_kinds_and_any_field(tmp_path):
    records = [{"task": {"text": "one two"}, "options": ["three", "four"], "n": 5}, {"task": {"text": "six"}}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(json.dumps({"problem": "seven", "answer": "eight", "id": "x"}))
    pq.write_table(pa.table({"question": ["nine"], "choices": [["a", "b"]], "answer": [1]}), tmp_path / "c.parquet")
    (tmp_path / "d.txt").write_text("ten\n\neleven\n")
    fields = ("task.text", "options", "n")
    assert [item.texts for item in read_items(tmp_path / "a.jsonl", "a", fields)] == [
        ("one two", "three", "four", "5"),
        ("six",),
    ]
    assert [(item.name, item.texts) for item in read_items(tmp_path / "b.jsonl.gz", "b")] == [
        ("b:x", ("seven", "seven eight"))
    ]
    assert [item.texts for item in read_items(tmp_path / "c.parquet", "c")] == [("nine", "nine b")]
    assert [(item.id, item.texts) for item in read_items(tmp_path / "d.txt", "d")] == [
        ("0", ("ten",)),
        ("2", ("eleven",)),
    ]
    with pytest.raises(InputError, match="none of the fields"):
        list(read_items(tmp_path / "a.jsonl", "a", ("nothing",)))


def test_short_items_are_listed_and_looked_for_when_asked(tmp_path):
    (tmp_path / "short.txt").write_text(f"{ITEM}\nwho painted the old bridge\nwhy\n")
    page = Document(text="Tell me: who painted the OLD bridge? And why?", id="p", metadata={"url": "u"})
    for short_items, kept in (("skip", True), ("exact", False)):
        config = DecontaminateConfig(against=(str(tmp_path / "short.txt"),), short_items=short_items)
        step = Decontaminate(config)
        step.bind(StepContext(label="clean", position=0, seed=0, reports=tmp_path / short_items))
        assert bool(list(step.run(iter([page])))) is kept
        report = step.report()
        assert report["texts_too_short"] == 2
        assert report["texts_not_looked_for"] == (2 if kept else 1)
        listed = [json.loads(line) for line in (tmp_path / short_items / "short_items.jsonl").read_text().splitlines()]
        assert listed == [
            {"item": "short:1", "words": 5, "looked_for": not kept},
            {"item": "short:2", "words": 1, "looked_for": False},
        ]
    assert page.metadata["contaminated_by"] == "short:1"


def test_report_lists_both_ways(tmp_path):
    other = " ".join(f"term{i}" for i in range(30))
    (tmp_path / "toy.txt").write_text(f"{ITEM}\n{other}\n")
    step = Decontaminate(DecontaminateConfig(against=(str(tmp_path / "toy.txt"),)))
    step.bind(StepContext(label="clean", position=0, seed=0, reports=tmp_path / "reports"))
    documents = [Document(text=text, id=f"d{i}") for i, text in enumerate([ITEM, f"{other} and {ITEM}", "clean", ITEM])]
    kept = [d.id for rank in (0, 1) for d in step.run(iter(documents[rank::2]), rank, 2)]
    assert kept == ["d2"]
    report = step.report()
    assert report["items_found"] == 2
    assert report["most_found"] == [{"item": "toy:0", "documents": 3}, {"item": "toy:1", "documents": 1}]
    by_item = [json.loads(line) for line in (tmp_path / "reports/items.jsonl").read_text().splitlines()]
    assert by_item == [{"item": "toy:0", "documents": ["d0", "d1", "d3"]}, {"item": "toy:1", "documents": ["d1"]}]
    rows = [json.loads(line) for line in (tmp_path / "reports/documents.jsonl").read_text().splitlines()]
    assert {row["document"]: sorted(item["item"] for item in row["items"]) for row in rows} == {
        "d0": ["toy:0"],
        "d1": ["toy:0", "toy:1"],
        "d3": ["toy:0"],
    }
    assert len(pq.read_table(tmp_path / "reports/matches")) == 4


def test_benchmarks_whose_files_have_the_same_name_are_told_apart(tmp_path):
    other = " ".join(f"term{i}" for i in range(30))
    for folder, text in (("gsm", ITEM), ("math", other)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "test.jsonl").write_text(json.dumps({"question": text, "id": "algebra:7"}) + "\n")
    files = tuple(str(tmp_path / folder / "test.jsonl") for folder in ("gsm", "math"))
    step = Decontaminate(DecontaminateConfig(against=files))
    step.bind(StepContext(label="clean", position=0, seed=0, reports=tmp_path / "reports"))
    assert not list(step.run(iter([Document(text=f"{other} and {ITEM}", id="a")])))
    report = step.report()
    assert report["items_found"] == 2
    assert report["items_found_by_benchmark"] == {"gsm/test": 1, "math/test": 1}
    assert names_in_reports(("a/gsm8k.jsonl", "package:tasks/math.jsonl", "mmlu")) == ("gsm8k", "math", "mmlu")
    here, there = (names_in_reports((f"{root}/a/x.jsonl", f"{root}/b/x.jsonl", "x.txt")) for root in ("/home", "/mnt"))
    assert here == there == ("a/x", "b/x", "x")


def test_a_file_of_items_that_has_changed_is_read_again(tmp_path):
    items = tmp_path / "items.txt"
    for text in (ITEM, " ".join(f"term{i}" for i in range(20))):
        items.write_text(text + "\n")
        step = Decontaminate(DecontaminateConfig(against=(str(items),)))
        step.bind(StepContext(label="clean", position=0, seed=0))
        assert not list(step.run(iter([Document(text=text, id="a")])))


def test_damaged_files_of_items_are_named(tmp_path):
    whole = gzip.compress(json.dumps({"question": ITEM}).encode() * 1000)
    for name, data in (("cut.jsonl.gz", whole[:-20]), ("none.jsonl.gz", b"no gzip"), ("latin.txt", b"caf\xe9\n")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=rf"{name}, after line 0: cannot be read"):
            list(read_items(tmp_path / name, "b"))
    (tmp_path / "windows.jsonl").write_bytes(b'\xef\xbb\xbf{"question": "one"}\r\n{"question": "two"}\r\n')
    assert [item.texts for item in read_items(tmp_path / "windows.jsonl", "b")] == [("one",), ("two",)]


def test_a_benchmark_of_a_local_plugin_file(tmp_path):
    package = tmp_path / "local_benchmark_files"
    package.mkdir()
    (package / "items.txt").write_text(ITEM + "\n")
    (package / "__init__.py").write_text("")
    plugin = tmp_path / "local_benchmark.py"
    plugin.write_text(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from core.hooks import hookimpl\nPLUGIN_API_VERSION = 1\n"
        "@hookimpl\ndef register_benchmarks(register):\n"
        "    register('homework', 'local_benchmark_files:items.txt')\n"
    )
    step = Decontaminate(DecontaminateConfig(against=("homework",)))
    with pytest.raises(ConfigError, match="homework"):
        step.bind(StepContext(label="clean", position=0, seed=0))
    step.bind(StepContext(label="clean", position=0, seed=0, plugin_files=(str(plugin),)))
    assert not list(step.run(iter([Document(text=ITEM, id="a")])))


def test_defaults_are_the_published_ones():
    lcs, by_difflib = (DecontaminateConfig(against=("x",), rule=rule) for rule in ("lcs", "difflib"))
    assert (lcs.words_in_a_row, lcs.least_ratio) == (13, 0.6)
    assert (by_difflib.words_in_a_row, by_difflib.least_ratio) == (10, 0.5)
