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


@pytest.mark.slow
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


HINDI = """यह एक छोटी सी कहानी है जिसमें एक किसान अपने खेत में रोज़ काम करता है और शाम को घर लौटता है। उसकी पत्नी भोजन
बनाती है और बच्चे पाठशाला से आकर अपना काम करते हैं। गाँव के लोग मिलकर नदी से पानी लाते हैं और पेड़ों की देखभाल करते
हैं। बारिश के दिनों में सब लोग खुश होते हैं क्योंकि फसल अच्छी होती है। फिर नया साल आता है।"""


def test_prose_with_vowel_signs_is_kept():
    assert len(FastWords().word_tokenize(HINDI)) == len(HINDI.replace("।", " ।").split())
    stop_words = ("है", "और", "के", "में")
    assert apply(GopherQuality(settings.GopherQualityConfig(stop_words=stop_words)), HINDI)[1] == {}
    assert apply(C4Quality(settings.C4QualityConfig()), HINDI)[1] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("שָׁלוֹם, עוֹלָם!", ["שָׁלוֹם", ",", "עוֹלָם", "!"]),
        ("می‌خواهم «بروم»", ["می‌خواهم", "«", "بروم", "»"]),
        ("don't e\u0301te\u0301.", ["don't", "e\u0301te\u0301", "."]),
        ("कील-कुल: १२,३४५", ["कील", "-", "कुल", ":", "१२,३४५"]),
        ("\u0301a", ["\u0301", "a"]),
    ],
)
def test_fast_words_keep_marks_with_their_letters(text, words):
    assert FastWords().word_tokenize(text) == words


LINES = """A mill stands by the river, and its wheel turns all day long.
When the water is low, the old miller has to wait for rain.
Children of the village come to see these stones at work.
In winter ice covers everything, so he mends his tools.
Then spring comes with a roar, and farmers bring their corn.
Nobody can say who built that house, but all know it.
Some tell of a stranger with a lamp who came at night.
Others believe that monks put up the first wall.""".splitlines()
ENDS = ["\n", "\r\n", " \n", "\u00a0\n", "\t\r\n", "\r", "\n\n", "\r\n\r\n", "\n\u00a0\n", "\r\n \r\n"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("step", [FineWebQuality, GopherRepetition, GopherQuality, C4Quality])
def test_line_ends_change_no_decision(step, end):
    config = getattr(settings, f"{step.__name__}Config")()
    assert apply(step(config), end.join([*LINES, ""]))[1] == {}
    repeated = [line for line in LINES[:4] for _ in range(5)]
    plain_end = "\n" * len(end.splitlines())
    assert apply(step(config), end.join(repeated))[1] == apply(step(config), plain_end.join(repeated))[1]


def test_line_ends_as_datatrove_has_them():
    as_there = FineWebQuality(settings.FineWebQualityConfig(lines="lf"))
    assert apply(as_there, "\r\n".join([*LINES, ""]))[1] == {"line_punct_ratio": 1}


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


@pytest.mark.parametrize(
    "text",
    [
        "npm install pkg@1.2.0 and lodash@4.17.21, then react@18.2.0-rc.1",
        "uses: actions/checkout@v2.3.4",
        '<img src="icon@2x.png" srcset="logo@1.5x.webp">',
        "git clone git@github.com:some/repo.git",
        "pip install git+ssh://git@gitlab.com/some/repo.git",
        "y = x@weights.transpose(0, 1)",
        "this@MainActivity.finish(); this@Main.window",
        "256.1.1.1 and 1.256.1.1 and 1.1.1.300 are none",
        "OID 1.3.6.1.4.1.311.2, oid 1.3.6.1, .1.3.6.1.2.1.1.1, 2.5.29.17",
        "version 4.2.1.7, Version: 4.2.1.7, version=\"4.2.1.7\", AssemblyVersion(\"4.2.1.7\"), v4.2.1.7, V. 4.2.1.7",
        "versions 4.2.1.7, 4.2.1.8 and 4.2.1.9",
        "Article 4.2.1.7, Tables 4.2.1.8 and 4.2.1.9, see table 4.2.1.7 (Fig. 4.2.1.7)",
        "pkg==4.2.1.7 pkg>=4.2.1.7 lib-4.2.1.7.tar.gz lib2-4.2.1.7 4.2.1.7-beta 4.2.1.7rc1 org.group:thing:4.2.1.7",
        "Mozilla/5.0 Firefox/3.0.0.10",
        "needs lib (>= 4.2.1.7), gem ~> 4.2.1.7; upgraded from 4.2.1.7 to 4.2.1.8, Release Notes 4.2.1.7",
        "versión 4.2.1.7, версия 4.2.1.7, 版本4.2.1.7",
        "Python 3.8.1.2, python 3.8.1.3 or 3.9.0.1; OpenSSL 1.1.1.1, Firefox (115.0.1.2), kernel 5.4.0.1",
        "Chrome/120.0.0.0 is Google Chrome 120.0.0.0, Chrome 1.0.154.48 the first one, Oracle 11.2.0.4 old",
        "Flash Player 11.3.183.7, Internet\u00a0Explorer 8.0.0.1, PacketTracer 5.3.3.2 ",
        "1.2.3.4.5",
    ],
)  # fmt: skip
def test_what_looks_like_an_address_is_left(text):
    assert apply(Pii(settings.PiiConfig()), text)[0].text == text
    assert apply(Pii(settings.PiiConfig(lookalikes="mask")), text)[0].text != text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("joe@foo.org: hello", "M: hello"),
        ("mailto:joe@foo.org?subject=x", "mailto:M?subject=x"),
        ("email='joe@foo.co.uk'", "email='M'"),
        ("<joe+list@foo.museum>,o'brien@foo.ie", "<M>,M"),
        ("user@163.com, me@2x.com, a@b.xn--p1ai", "M, M, M"),
        ("ends with joe@foo.com.2 is next", "ends with M.2 is next"),
        ("joe@foo.com(work)", "M(work)"),
        ("ping 8.8.8.8, 8.8.4.4 and 9.9.9.9.", "ping I, I and I."),
        ("8.8.8.8-8.8.8.12 8.8.8.0/24 (8.8.8.8) http://8.8.8.8:80/x ip=8.8.8.8", "I-I I/24 (I) http://I:80/x ip=I"),
        ("version 4.2.1.7 answers at 8.8.8.8", "version 4.2.1.7 answers at I"),
        ("1.2.3.4.5 8.8.8.8 ...8.8.8.8...", "1.2.3.4.5 I ...I..."),
        ("version 4.2.1.7  8.8.8.8", "version 4.2.1.7  I"),
        ("从8.8.8.8来", "从I来"),
        ("Host 8.8.8.8, DNS 8.8.4.4; IP 8.8.8.8. Google 8.8.8.8", "Host I, DNS I; IP I. Google I"),
        ("Cloudflare 1.1.1.1 (1.0.0.1)", "Cloudflare I (I)"),
        ("OpenDNS 4.2.1.7 GoDaddy 8.8.8.8 Reverted 5.1.2.3 Player 5.1.2.3", "OpenDNS I GoDaddy I Reverted I Player I"),
        ("connect to 8.8.8.8 from 11.1.2.3", "connect to I from I"),
        ("Firefox 81.152.33.7 Chrome 9.1.2.3:8080 MySQL 9.1.2.0/24", "Firefox I Chrome I:8080 MySQL I/24"),
        ("Python\n9.1.2.3 Python  9.1.2.3 Python at 9.1.2.3", "Python\nI Python  I Python at I"),
        ("Python 3.8.1.2, 93.184.216.34", "Python 3.8.1.2, I"),
        ("localhost/8.8.8.8 ip-8.8.8.8 mysql-client-4.2.1.7", "localhost/I ip-I mysql-client-4.2.1.7"),
    ],
)  # fmt: skip
def test_addresses_are_masked_and_nothing_around_them(text, masked):
    step = Pii(settings.PiiConfig(email_replacements=("M",), ip_replacements=("I",)))
    assert apply(step, text)[0].text == masked


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
