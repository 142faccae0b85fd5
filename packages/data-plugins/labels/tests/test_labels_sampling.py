"""Which documents are labelled: by hash, within strata, balanced over a preliminary score."""

import random
from collections import Counter

import pytest
from core.errors import UserError
from core.typed import build
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st
from smallwright_labels.config import ScoreRulesConfig
from smallwright_labels.rules import ScoreRules
from smallwright_labels.sampling import ALL, MOST_STRATA, NO_SCORE, Selection, id_hash, quotas


def documents(count, seed=0):
    """Nine of ten documents score 0 to 1, as web pages do in a classifier for mathematics."""
    generator = random.Random(seed)
    for number in range(count):
        score = generator.random() if generator.random() < 0.9 else generator.uniform(1, 5)
        language = generator.choices(["Python", "C", "Rust"], [6, 3, 1])[0]
        yield Document(text="-", id=f"d{number}", metadata={"score": score, "language": language})


def chosen(config, made):
    made = list(made)
    selection = Selection.make(config, made)
    return [document for document in made if selection.has(document)], selection


def test_a_plain_sample_has_the_smallest_hashes():
    found, selection = chosen(ScoreRulesConfig(sample=100), documents(5000))
    by_hash = sorted(documents(5000), key=lambda document: id_hash(document.id, "label"))[:100]
    assert {document.id for document in found} == {document.id for document in by_hash}
    assert selection.report() == {ALL: {ALL: {"documents": 5000, "wanted": 100}}}


def test_a_larger_sample_holds_the_smaller_one():
    small, large = (
        {document.id for document in chosen(ScoreRulesConfig(sample=size), documents(3000))[0]} for size in (50, 700)
    )
    assert (len(small), len(large)) == (50, 700)
    assert small < large


def test_null_takes_all_and_a_corpus_may_be_smaller_than_the_sample():
    assert len(chosen(ScoreRulesConfig(sample=None), documents(300))[0]) == 300
    assert len(chosen(ScoreRulesConfig(sample=1000), documents(300))[0]) == 300
    assert chosen(ScoreRulesConfig(sample=1000), [])[0] == []


def test_each_stratum_gives_a_sample():
    found, _ = chosen(ScoreRulesConfig(sample=200, strata="language"), documents(5000))
    assert Counter(document.metadata["language"] for document in found) == {"Python": 200, "C": 200, "Rust": 200}


def test_addresses_can_be_strata_and_ids_may_repeat(tmp_path, write_corpus, run_corpus_step):
    made = [Document(text="3 + 4", id="same", metadata={"url": f"https://host/{n}"}) for n in range(3)]
    step = ScoreRules(ScoreRulesConfig(sample=1, strata="url"))
    found, _ = run_corpus_step(step, write_corpus(tmp_path / "corpus", made, 2), tmp_path / "work")
    assert [document.metadata["label_scorer"] for document in found] == ["rules"] * 3


def test_a_balanced_sample_has_as_many_of_each_rounded_score():
    found, selection = chosen(ScoreRulesConfig(sample=600, balance_by="score"), documents(20_000))
    counts = Counter(round(document.metadata["score"]) for document in found)
    assert counts == dict.fromkeys(range(6), 100)
    plain, _ = chosen(ScoreRulesConfig(sample=600), documents(20_000))
    assert sum(document.metadata["score"] >= 2.5 for document in plain) < 60
    assert sum(cell["documents"] for cell in selection.report()[ALL].values()) == 20_000


@pytest.mark.slow
def test_given_shares_and_strata_together():
    config = build(
        ScoreRulesConfig,
        {"sample": 100, "strata": "language", "balance_by": "score", "balance_shares": {0: 1, 1: 1, 3: 2}},
        "x",
    )
    found, _ = chosen(config, documents(30_000))
    counts = Counter((document.metadata["language"], round(document.metadata["score"])) for document in found)
    assert counts == {
        (language, score): wanted
        for language in ("Python", "C", "Rust")
        for score, wanted in ((0, 25), (1, 25), (3, 50))
    }


def test_the_order_of_the_corpus_and_a_stored_selection_change_nothing(tmp_path):
    config = ScoreRulesConfig(sample=300, balance_by="score", strata="language")
    forward, backward = list(documents(4000)), list(documents(4000))[::-1]
    found, selection = chosen(config, forward)
    again, _ = chosen(config, backward)
    selection.save(tmp_path)
    stored = Selection.load(tmp_path)
    ids = {document.id for document in found}
    assert ids == {document.id for document in again} == {d.id for d in forward if stored.has(d)}


def test_documents_without_the_score_are_counted_and_left_out():
    some = [*documents(100), *(Document(text="-", id=f"n{i}", metadata={"score": None}) for i in range(7))]
    found, selection = chosen(ScoreRulesConfig(sample=1000, balance_by="score"), some)
    assert len(found) == 100
    assert selection.report()[ALL][NO_SCORE] == {"documents": 7, "wanted": 0}
    with pytest.raises(UserError, match="balance_by=int_score: no document has a number"):
        chosen(ScoreRulesConfig(sample=10, balance_by="int_score"), some)


def test_a_key_of_too_many_values_is_no_stratum():
    many = [Document(text="-", id=str(i), metadata={"url": str(i)}) for i in range(MOST_STRATA + 1)]
    with pytest.raises(UserError, match=f"more than {MOST_STRATA} different values"):
        chosen(ScoreRulesConfig(sample=1, strata="url"), many)


@given(
    st.dictionaries(st.sampled_from("012345"), st.integers(0, 1000), min_size=1),
    st.integers(1, 2000),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("0123456"), st.floats(0, 10), min_size=1)),
)
def test_quotas_give_what_there_is_and_what_was_asked(available, sample, shares):
    given_out = quotas(available, sample, shares)
    wanted = [name for name in available if shares is None or shares.get(name, 0) > 0]
    assert all(0 <= given_out[name] <= available[name] for name in available)
    assert all(given_out[name] == 0 for name in set(available) - set(wanted))
    assert sum(given_out.values()) == min(sample, sum(available[name] for name in wanted))
    if shares is None:  # a bin that is not exhausted has at least as much as any other, but for rounding
        left = [given_out[name] for name in available if given_out[name] < available[name]]
        assert not left or min(left) >= max(given_out.values()) - 1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(peak_memory):
    def select(count):
        made = (Document(text="-", id=str(number), metadata={}) for number in range(count))
        Selection.make(ScoreRulesConfig(sample=500), made)

    select(100)  # what is imported and cached at the first call
    assert peak_memory(lambda: select(30_000)) < 1.5 * peak_memory(lambda: select(3_000))
