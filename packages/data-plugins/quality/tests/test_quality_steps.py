"""Quality steps: verdicts, reasons, the same outcome as DataTrove's filters and for any number of workers."""

import dataclasses
import gzip
import pickle

import pytest
from core.data.documents import ParquetSink, ReadDocuments, WriteDocuments, read_documents
from core.data.steps import StepContext
from core.errors import InputError
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from smallwright_quality import config as settings
from smallwright_quality.heuristics import C4Quality, FineWebQuality, GopherQuality
from smallwright_quality.pii import Pii
from smallwright_quality.repetition import GopherRepetition
from smallwright_quality.url import HashedSet, UrlFilter, fineweb_lists
from smallwright_quality.words import FastWords

ENGLISH = "The cat sat on the mat, and the dog that lives with us did not have to be told of it."
PROSE = """Rain fell for three days before the river rose over the old stone bridge. People of the town carried sand.
A teacher asked her pupils to measure the height of the water every hour. They wrote each number on a long sheet.
By noon the line on their chart was almost flat, and that surprised nobody who had seen earlier floods.
The mayor thanked the children, who were proud to have helped. She promised a better wall with wider gates.
Years later one of these pupils became an engineer. He still keeps the yellow paper in a drawer of his desk."""


def apply(step, text="", **metadata):
    kept = list(step.run(iter([Document(text=text, id="a", metadata=metadata)])))
    return kept[0] if kept else None, dict(step._ledger.rejected + step._ledger.failed)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://de.pornhub.com/x", "domain"),
        ("https://blog.Blocked.org/", "domain"),
        ("http://a.org/free-XXX-pics", "banned word"),
        ("http://a.org/casino-poker", "soft words"),
        ("http://a.org/best_online-casino", "banned substring"),
        ("http://a.org/bad", "url"),
        ("", "no url"),
        ("https://essex.ac.uk/sex-education", None),
        ("http://[::bad/", None),
    ],
)
def test_url_reasons(url, reason):
    config = settings.UrlFilterConfig(domains=("blocked.org",), urls=("http://a.org/bad",))
    _, reasons = apply(UrlFilter(config), "text", url=url)
    assert reasons == ({reason: 1} if reason else {})


def test_hashed_set_holds_what_it_was_given():
    entries = [f"host{i}.org" for i in range(1000)]
    assert all(entry in HashedSet(entries) for entry in entries)
    assert "host1000.org" not in HashedSet(entries)
    assert "a" not in HashedSet([])


def test_url_rules_can_be_turned_off():
    config = settings.UrlFilterConfig(lists="none", soft_words=("casino", "poker"), missing_url="keep")
    assert apply(UrlFilter(config), "text", url="http://a.org/casino-poker")[1] == {"soft words": 1}
    assert apply(UrlFilter(config), "text", url="http://pornhub.com/")[1] == {}
    assert apply(UrlFilter(config), "text")[1] == {}
    off = dataclasses.replace(config, soft_word_threshold=None)
    assert apply(UrlFilter(off), "text", url="http://a.org/casino-poker")[1] == {}


def test_url_lists_come_from_files(tmp_path):
    listed = tmp_path / "hosts.txt.gz"
    listed.write_bytes(gzip.compress(b"# hosts\n\nbad.example\n"))
    step = UrlFilter(settings.UrlFilterConfig(domain_files=(str(listed),)))
    assert apply(step, "text", url="https://a.bad.example/x")[1] == {"domain": 1}
    windows = tmp_path / "windows.txt"
    windows.write_bytes(b"\xef\xbb\xbfbad.example\r\nworse.example\r\n")
    step = UrlFilter(settings.UrlFilterConfig(domain_files=(str(windows),)))
    for host in ("bad", "worse"):
        assert apply(step, "text", url=f"https://{host}.example/")[1] == {"domain": 1}
    with pytest.raises(InputError, match="cannot read this list"):
        UrlFilter(settings.UrlFilterConfig(url_files=(str(tmp_path / "none.txt"),)))


@pytest.mark.slow
def test_fineweb_lists_are_datatroves():
    step = UrlFilter(settings.UrlFilterConfig(lists="fineweb"))
    step.bind(StepContext(label="url", position=0, seed=0))
    lists = fineweb_lists()
    assert len(lists["domains"]) > 4_500_000
    assert apply(step, "text", url="http://www.pornhub.com/x")[1] == {"domain": 1}
    assert apply(step, "text", url="https://en.wikipedia.org/wiki/Sussex")[1] == {}


def test_heuristics_keep_prose_and_name_reasons():
    for step, config in (
        (GopherRepetition, settings.GopherRepetitionConfig()),
        (GopherQuality, settings.GopherQualityConfig()),
        (C4Quality, settings.C4QualityConfig()),
        (FineWebQuality, settings.FineWebQualityConfig()),
    ):
        kept, reasons = apply(step(config), PROSE)
        assert kept is not None, (step, reasons)
    assert apply(GopherRepetition(settings.GopherRepetitionConfig()), "same line\n" * 50)[1] == {"dup_line_frac": 1}
    assert apply(GopherQuality(settings.GopherQualityConfig()), ENGLISH)[1] == {"gopher_short_doc": 1}
    assert apply(GopherQuality(settings.GopherQualityConfig(min_doc_words=None)), " ")[1] == {"gopher_short_doc": 1}
    assert apply(C4Quality(settings.C4QualityConfig()), PROSE + " {")[1] == {"curly_bracket": 1}
    assert apply(C4Quality(settings.C4QualityConfig(filter_curly_bracket=False)), PROSE + " {")[0] is not None
    assert apply(FineWebQuality(settings.FineWebQualityConfig()), "no stop here at all\n" * 5)[1]


def test_sentence_spans_cover_the_text():
    text = 'One. "Two!" Three... and 3.14 more? Yes'
    spans = FastWords().span_tokenize(text)
    assert "".join(text[a:b] for a, b in spans) == text
    assert FastWords().sent_tokenize(text) == ["One.", '"Two!"', "Three...", "and 3.14 more?", "Yes"]


def test_pii_masks_alike_in_every_document():
    step = Pii(settings.PiiConfig())
    text = "Write to Joe@foo.co.uk\tor (x@y.com) at 8.8.8.8, not 192.168.0.1."
    first, second = apply(step, text)[0].text, apply(step, text)[0].text
    assert first == second
    assert first == (
        "Write to email@example.com\tor (firstname.lastname@example.org) at 22.214.171.124, not 192.168.0.1."
    )


@pytest.mark.slow
def test_chain_does_not_depend_on_workers(tmp_path):
    for rank in range(2):
        sink = ParquetSink(tmp_path / "in" / f"{rank}.parquet")
        for i in range(4):
            text = f"{PROSE}\nmail a{rank}@b.org and c{i}@d.org" if i % 2 else ENGLISH
            sink.write(Document(text=text, id=f"{rank}-{i}", metadata={"url": "http://a.org"}))
        sink.close()
    outcomes = []
    for workers in (1, 2):
        steps = [GopherQuality(settings.GopherQualityConfig()), Pii(settings.PiiConfig())]
        steps = pickle.loads(pickle.dumps(steps))
        out = tmp_path / f"out{workers}"
        pipeline = [ReadDocuments(tmp_path / "in"), *steps, WriteDocuments(out)]
        logs = str(tmp_path / f"logs{workers}")
        LocalPipelineExecutor(pipeline=pipeline, tasks=2, workers=workers, logging_dir=logs).run()
        outcomes.append([(d.id, d.text) for path in sorted(out.glob("*.parquet")) for d in read_documents(path)])
    assert outcomes[0] == outcomes[1]
    assert [id for id, _ in outcomes[0]] == ["0-1", "0-3", "1-1", "1-3"]
