"""Hooks of the quality plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


STEPS = {
    "url_filter": "url:UrlFilter",
    "language": "language:Language",
    "gopher_repetition": "repetition:GopherRepetition",
    "gopher_quality": "heuristics:GopherQuality",
    "c4_quality": "heuristics:C4Quality",
    "fineweb_quality": "heuristics:FineWebQuality",
    "pii": "pii:Pii",
    "threshold": "threshold:Threshold",
    "keep_probability": "threshold:KeepProbability",
    "top_fraction": "top_fraction:TopFraction",
    "domain_recall": "domain_recall:DomainRecall",
    "statistics": "corpus_statistics:Statistics",
    "long_documents": "corpus_statistics:LongDocuments",
}
CHANGED = ("language", "gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality", "pii")
"""Steps whose results have changed since the first version."""


@hookimpl
def register_steps(register: Register) -> None:
    for name, target in STEPS.items():
        config = f"smallwright_quality.config:{target.partition(':')[2]}Config"
        version = 4 if name == "pii" else 2 if name in CHANGED else 1
        register(name, f"smallwright_quality.{target}", config=config, artifact_version=version)
