"""The tables of what a training read."""

from smallwright_report import mixture


def test_shares_by_stage_and_epochs_by_corpus():
    web = {"declared": 0.75, "realised": 0.7501, "tokens": 7501}
    code = {"declared": None, "realised": 0.2499, "tokens": 2499}
    corpora = {
        "web": {"tokens": 7501, "size": 100_000, "epochs": 0.07501},
        "code": {"tokens": 2499, "size": 500, "epochs": 4.998},
    }
    stages = [{"name": "stable", "tokens": 10_000, "sources": {"web": web, "code": code}}]
    shares, epochs = mixture.blocks({"mixture": {"stages": stages, "corpora": corpora}})
    assert shares["table"]["rows"] == [
        ["stable", "web", "75.00 %", "75.01 %", "7,501"],
        ["stable", "code", "by size", "24.99 %", "2,499"],
    ]
    assert epochs["table"]["rows"] == [["web", "0.08", "7,501", "100,000"], ["code", "5.00", "2,499", "500"]]


def test_decisions_say_who_changed_what_and_why():
    source = {"declared": 0.5, "realised": 0.55, "tokens": 5}
    read = {"stages": [{"name": "all", "tokens": 10, "sources": {"web": source, "code": source}}], "corpora": {}}
    made = {"step": 20, "policy": "decisions", "name": "A. Person", "reason": "code lags"}
    decisions = [
        {**made, "after": {"web": 0.4, "code": 0.6}},
        {"step": 40, "policy": "odm", "after": None, "refused": "ValueError: no shares"},
    ]
    *_, table = mixture.blocks({"mixture": {**read, "decisions": decisions}})
    assert table["table"]["rows"] == [
        ["20", "decisions, A. Person", "code lags", "web 40.00 %, code 60.00 %"],
        ["40", "odm", "not taken: ValueError: no shares", "as before"],
    ]


def test_one_corpus_in_one_stage_needs_no_table():
    one = {"name": "all", "tokens": 10, "sources": {"corpus": {"declared": None, "realised": 1.0, "tokens": 10}}}
    assert mixture.blocks({"mixture": {"stages": [one], "corpora": {}}}) == []
    assert mixture.blocks({}) == [], "a trainer that does not say"
