"""Steps that decide by scores: thresholds, draws, the best share, domain recall. Seconds: 6."""

import json
import math
import random
import types

import pytest
from core.data.documents import WriteDocuments, read_documents
from core.data.executor import LocalExecutor
from core.data.recipe import LocalExecutorConfig
from core.data.steps import StepContext
from core.errors import ConfigError, InputError
from core.typed import build
from datatrove.data import Document
from smallwright_quality import domain_recall, top_fraction
from smallwright_quality.config import DomainRecallConfig, KeepProbabilityConfig, ThresholdConfig, TopFractionConfig
from smallwright_quality.domain_recall import DomainRecall
from smallwright_quality.hosts import domain_of
from smallwright_quality.threshold import KeepProbability, Threshold
from smallwright_quality.top_fraction import TopFraction


def apply(step, **metadata):
    kept = list(step.run(iter([Document(text="x", id="a", metadata=metadata)])))
    return kept[0] if kept else None, dict(step._ledger.rejected + step._ledger.failed)


def run_on_corpus(step, folder, rows, files=3, workers=1):
    """Return {id: metadata} of what is kept, {id: reason} of the rest, the report and the tables."""
    folder.mkdir(exist_ok=True)
    corpus, work, out, rejected, ledgers = (folder / n for n in ("corpus", "work", "out", "rejected", "ledgers"))
    for rank in range(files):
        documents = [Document(text="t", id=str(i), metadata=dict(rows[i])) for i in range(rank, len(rows), files)]
        list(WriteDocuments(corpus).run(documents, rank, files))
    for made in (work, ledgers):
        made.mkdir()
    context = StepContext(label="scores", position=0, seed=0, rejected=rejected, ledgers=ledgers)
    step.bind(context)
    with LocalExecutor(LocalExecutorConfig(workers=workers)) as executor:
        for phase in step.phases(corpus, work):
            executor.run(phase.pipeline, phase.tasks or files, folder / "logs" / phase.name, lambda _: None)
    applied = step.pass_step(work)
    applied.bind(context)
    for rank in range(files):
        documents = read_documents(corpus / f"{rank:05d}.parquet")
        list(WriteDocuments(out).run(applied.run(documents, rank, files), rank, files))
    kept = {d.id: d.metadata for path in sorted(out.glob("*.parquet")) for d in read_documents(path)}
    aside = {
        d["id"]: d["reason"]
        for path in sorted(rejected.glob("*.parquet"))
        for d in top_fraction.pq.read_table(path).to_pylist()
    }
    assert len(kept) + len(aside) == len(rows)
    return types.SimpleNamespace(kept=kept, aside=aside, report=json.loads((work / "scores.report.json").read_text()))


def test_threshold():
    step = Threshold(ThresholdConfig())
    assert apply(step, score=3.0)[0] is not None
    assert apply(step, score=2.9)[1] == {"below the threshold": 1}
    assert apply(step, score=float("nan"))[1] == {"below the threshold": 1}
    assert apply(step)[1] == {"no number to compare": 1}
    step = Threshold(ThresholdConfig(minimum=None, maximum=0.5))
    assert apply(step, score=0.5)[0] is not None
    assert apply(step, score=0.6)[1] == {"above the threshold": 1}


def test_threshold_by_group_as_in_stack_edu():
    step = Threshold(ThresholdConfig(key="int_score", minimum=3, by="lang", minimums={"Java": 2}))
    assert apply(step, int_score=2, lang="Java")[0] is not None
    assert apply(step, int_score=2, lang="Python")[1] == {"below the threshold": 1}
    assert apply(step, int_score=2)[1] == {"below the threshold": 1}
    assert apply(step, int_score=3, lang="Markdown")[0] is not None
    assert dict(step._ledger.tables["groups"]) == {"Markdown": 1}


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (ThresholdConfig, {"minimum": None}, "nothing to compare"),
        (ThresholdConfig, {"minimums": {"Java": 2}}, "needs by"),
        (ThresholdConfig, {"minimum": 3, "maximum": 2}, "above maximum"),
        (KeepProbabilityConfig, {"probabilities": {0: 1.5}}, "from 0 to 1"),
        (KeepProbabilityConfig, {"probabilities": {"good": 0.5}}, "must be a number"),
        (TopFractionConfig, {"fraction": 0}, "above 0"),
        (DomainRecallConfig, {"min_share": 10}, "min_share=10: must be from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config, settings, message):
    with pytest.raises(ConfigError, match=message):
        build(config, settings, "data.steps.x")


def test_keep_probability_draws_by_id_and_seed():
    rows = [(str(i), i % 5) for i in range(4000)]

    def kept(seed, config_seed=None, **settings):
        step = KeepProbability(build(KeepProbabilityConfig, {"seed": config_seed, **settings}, "data.steps.x"))
        step.bind(StepContext(label="x", position=0, seed=seed))
        documents = [Document(text="t", id=name, metadata={"int_score": score}) for name, score in rows]
        found = [(document.id, document.metadata["int_score"]) for document in step.run(iter(documents))]
        return found, step._ledger

    found, ledger = kept(0)
    counts = [sum(score == wanted for _, score in found) for wanted in range(5)]
    assert counts[0] == 0
    assert counts[3] == counts[4] == 800
    # 5 standard deviations of a binomial with 800 draws
    assert abs(counts[1] - 80) < 5 * math.sqrt(800 * 0.1 * 0.9)
    assert abs(counts[2] - 240) < 5 * math.sqrt(800 * 0.3 * 0.7)
    assert ledger.rejected == {"dropped score": 800, "not drawn": 1600 - counts[1] - counts[2]}
    assert ledger.tables["scores kept"] == {"1": counts[1], "2": counts[2], "3": 1600}
    assert kept(0)[0] == found == kept(7, config_seed=0)[0]
    assert kept(1)[0] != found
    half, _ = kept(0, probabilities={0: 0.5})
    more, _ = kept(0, probabilities={0: 0.6})
    assert set(half) < set(more)  # a higher probability only adds


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_top_fraction_keeps_the_best_of_all_files(tmp_path, workers):
    rng = random.Random(3)
    values = [rng.choice((-1, 1)) * rng.expovariate(1) * 10 ** rng.randrange(-12, 12) for _ in range(500)]
    values += [0.0, -0.0, math.inf, -math.inf, 5e-324]
    rows = [{"score": value} for value in values]
    done = run_on_corpus(TopFraction(TopFractionConfig(fraction=0.13)), tmp_path, rows, workers=workers)
    best = sorted(values, reverse=True)[: math.ceil(505 * 0.13)]
    assert sorted((metadata["score"] for metadata in done.kept.values()), reverse=True) == best
    assert done.report["threshold"] == best[-1]
    assert done.report["kept"] == len(best)


def test_top_fraction_finds_every_rank(tmp_path, monkeypatch):
    monkeypatch.setattr(top_fraction._FindThreshold, "CHUNK", 7)
    values = [-3.5, -1.0, -1.0, -1e-300, 0.0, 1e-300, 0.018112, 0.018113, 2.0, 2.0, 2.0, 1e300]
    (tmp_path / "numbers").mkdir()
    (tmp_path / "numbers" / "0.f8").write_bytes(top_fraction.np.array(values).tobytes())
    finder = top_fraction._FindThreshold(TopFractionConfig(), tmp_path, tmp_path / "report.json")
    assert [finder._number_at(rank) for rank in range(1, 13)] == sorted(values, reverse=True)


def test_top_fraction_keeps_ties_and_fails_documents_without_a_number(tmp_path):
    rows = [{"mark": 1}] * 6 + [{"mark": 0}] * 4 + [{}, {"mark": "high"}, {"mark": 10**400}, {"mark": float("nan")}]
    done = run_on_corpus(TopFraction(TopFractionConfig(key="mark", fraction=0.2)), tmp_path, rows)
    assert sorted(done.kept) == [str(i) for i in range(6)]
    assert done.report["kept_share"] == 0.6
    assert sorted(done.aside.values()) == ["below the best share"] * 5 + ["no number to compare"] * 3


def test_top_fraction_keeps_at_least_the_best_document(tmp_path):
    done = run_on_corpus(TopFraction(TopFractionConfig(fraction=1e-9)), tmp_path, [{"score": 1.0}, {"score": 2.0}])
    assert list(done.kept) == ["1"]
    assert done.report["threshold"] == 2.0


def crawl():
    """Pages (url, score): 12 good ones of 100 on big, 1 of 5 on small, none on bad; odd URLs."""
    rows = [{"url": f"https://www.big.org/{i}", "score": 2.5 if i < 12 else 0.1} for i in range(100)]
    rows += [{"url": f"http://small.net/{i}", "score": 2 if i < 1 else 1.9} for i in range(5)]
    rows += [{"url": f"http://a.bad.com/{i}", "score": 1.0} for i in range(20)]
    return [
        *rows,
        {"url": "", "score": 0},
        {"url": "http://[broken", "score": 3.5},
        {"url": "http://b.bad.com/"},
        {"url": "http://b.bad.com/", "score": 10**400},
    ]


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 20])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"domain count": 100, "score": 1}),
        ({"min_pages": None, "min_share": 0.1}, {"domain count": 0, "domain share": 105, "score": 1}),
        ({"min_pages": None, "min_share": 0.1, "share_min_pages": 6}, {"domain share": 100, "score": 1}),
        ({"min_pages": 13, "min_share": 0.15}, {"domain share": 5, "score": 1}),
        ({"min_pages": None, "domains": ("A.bad.com",)}, {"domain list": 20, "score": 1}),
        ({"min_pages": None, "urls": ("http://a.bad.com/3",)}, {"url": 1, "score": 1}),
        ({"min_pages": None, "minimum": 2.5}, {"score": 13}),
        ({"minimum": None}, {"domain count": 100}),
    ],
)
def test_domain_recall_rules(tmp_path, monkeypatch, settings, expected, partitions):
    monkeypatch.setattr(domain_recall, "DOCUMENTS_PER_PARTITION", 128 // partitions)
    rows = crawl()
    done = run_on_corpus(DomainRecall(DomainRecallConfig(**settings)), tmp_path, rows)
    rules = [metadata["recalled_by"] for metadata in done.kept.values()]
    assert {rule: rules.count(rule) for rule in {*rules, *expected}} == expected
    assert sorted(done.aside.values())[0] == "no number to compare"
    assert set(done.aside.values()) <= {"no number to compare", "score and domain too low"}
    assert sum(done.report["pages"].values()) == 125
    assert done.report["largest"][0]["domain"] == "big.org"
    assert (done.report["largest"][0]["pages"], done.report["largest"][0]["good"]) == (100, 12)


@pytest.mark.slow
def test_domain_recall_by_registrable_domain(tmp_path):
    rows = [{"url": f"http://s{i}.site.co.uk/", "score": 2.0} for i in range(10)]
    rows += [{"url": "http://other.co.uk/", "score": 1.0}, {"url": "https://site.co.uk/", "score": 0.0}]
    done = run_on_corpus(DomainRecall(DomainRecallConfig(domain="registrable")), tmp_path / "one", rows)
    assert list(done.aside) == ["10"]
    done = run_on_corpus(DomainRecall(DomainRecallConfig(domain="host")), tmp_path / "two", rows)
    assert not done.kept


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: DomainRecall(DomainRecallConfig()), lambda: TopFraction(TopFractionConfig())])
def test_every_byte_is_the_same_for_any_number_of_workers(tmp_path, monkeypatch, make):
    monkeypatch.setattr(domain_recall, "DOCUMENTS_PER_PARTITION", 30)
    written = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        run_on_corpus(make(), folder, crawl(), workers=workers)
        files = [path for part in ("out", "work", "rejected") for path in sorted((folder / part).rglob("*.*"))]
        written.append({str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()})
    assert written[0] == written[1]
    assert len(written[0]) > 8


def test_domain_recall_reads_lists_before_any_work(tmp_path):
    listed = tmp_path / "domains.txt"
    listed.write_text("# of another collection\na.bad.com\n")
    config = DomainRecallConfig(min_pages=None, domain_files=(str(listed),))
    assert len(run_on_corpus(DomainRecall(config), tmp_path / "run", crawl()).kept) == 21
    missing = DomainRecall(DomainRecallConfig(url_files=(str(tmp_path / "none.txt"),)))
    with pytest.raises(InputError, match=r"none\.txt"):
        missing.bind(StepContext(label="x", position=0, seed=0))


@pytest.mark.parametrize(
    ("url", "host", "registrable"),
    [
        ("https://www.Example.co.uk:8080/a", "example.co.uk", "example.co.uk"),
        ("http://a.b.example.com/", "a.b.example.com", "example.com"),
        ("http://me.github.io/x", "me.github.io", "me.github.io"),
        ("http://1.2.3.4/", "1.2.3.4", "1.2.3.4"),
        ("http://[::1]/", "::1", "::1"),
        ("http://localhost", "localhost", "localhost"),
        ("http://www.calmath.example/", "calmath.example", "calmath.example"),
        ("http://[broken", "", ""),
        ("", "", ""),
    ],
)
def test_domains(url, host, registrable):
    assert domain_of(url, "host") == host
    assert domain_of(url, "registrable") == registrable
