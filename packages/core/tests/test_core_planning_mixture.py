"""What a plan says of the text that a training reads, and which tokens count as made."""

from core import graph, store
from core.planning import mixture, stages


def source(declared=None, realised=None, tokens=None):
    return {"declared": declared, "realised": realised, "tokens": tokens}


def test_shares_are_shown_for_each_stage_and_epochs_for_each_corpus():
    web, code = source(0.75, 0.7501, 7501), source(0.25, 0.2499, 2499)
    read = {
        "unknown": [],
        "corpora": {"web": {"tokens": 17501, "size": 100_000, "epochs": 0.17501}},
        "stages": [
            {"name": "stable", "tokens": 10_000, "sources": {"web": web, "code": code}},
            {"name": "decay", "tokens": 10_000, "sources": {"web": source(None, 1.0, 10_000)}},
        ],
        "notes": ["code is read too often."],
    }
    assert mixture.render(read) == [
        "mixture              stable: 10,000 tokens",
        "  web                75 %: 7,501 tokens, 75.01 %",
        "  code               25 %: 2,499 tokens, 24.99 %",
        "mixture              decay: 10,000 tokens",
        "  web                in proportion to its tokens: 10,000 tokens, 100 %",
        "epochs               how often each corpus is read",
        "  web                0.175: 17,501 tokens out of 100,000",
        "  note: code is read too often.",
    ]


def test_what_is_not_known_yet_is_called_that():
    one = {"name": "all", "tokens": 10, "sources": {"corpus": source()}}
    unknown = {"unknown": ["corpus"], "corpora": {}, "stages": [one], "notes": []}
    assert mixture.render(unknown) == ["epochs               unknown until the tokens are made"]
    two = {"name": "all", "tokens": 10, "sources": {"web": source(0.5, None, 5), "code": source(0.5, None, 5)}}
    assert mixture.render({**unknown, "unknown": ["code"], "stages": [two]}) == [
        "mixture              10 tokens",
        "  web                50 %: 5 tokens",
        "  code               50 %: 5 tokens",
        "epochs               unknown until the tokens of code are made",
    ]
    assert mixture.render(None) == []


def test_tokens_are_made_when_their_artifact_is_whole(registry, composed, tmp_path):
    specs = {spec.name: spec for spec in graph.build(composed(), registry)}
    training, tokens = specs["pretrain"], specs["tokens"]
    place = tokens.directory(tmp_path)
    assert training.finished("tokens", tmp_path) == {"corpus": None}
    place.mkdir(parents=True)
    (place / "train-00000.bin").touch()
    assert training.finished("tokens", tmp_path) == {"corpus": None}, "unfinished"
    store.finish(place, {**tokens.job(tmp_path, (), {}).record, "stage": "tokens", "inputs": {}})
    assert training.finished("tokens", tmp_path) == {"corpus": place}
    (place / "train-00000.bin").unlink()
    assert training.finished("tokens", tmp_path) == {"corpus": None}, "damaged"
    assert stages.plan([training], tmp_path, registry)["mixture"] is None, "the toy trainer cannot say"
