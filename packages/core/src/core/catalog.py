"""Which package brings what, for the line that says how to install a missing part. First-party parts only.

A test compares this table with what the packages register.
"""

from core.kinds import BY_NAME

PACKAGES: dict[tuple[str, str], str] = {
    ("sources", "demo_crawl"): "smallwright-data-warc",
    ("steps", "read_warc"): "smallwright-data-warc",
    ("steps", "read_index"): "smallwright-data-warc",
    ("steps", "refetch"): "smallwright-data-warc",
    ("steps", "captures"): "smallwright-data-warc",
    ("steps", "extract_text"): "smallwright-data-warc",
    ("steps", "url_filter"): "smallwright-data-quality",
    ("steps", "language"): "smallwright-data-quality",
    ("steps", "gopher_repetition"): "smallwright-data-quality",
    ("steps", "gopher_quality"): "smallwright-data-quality",
    ("steps", "c4_quality"): "smallwright-data-quality",
    ("steps", "fineweb_quality"): "smallwright-data-quality",
    ("steps", "pii"): "smallwright-data-quality",
    ("steps", "threshold"): "smallwright-data-quality",
    ("steps", "keep_probability"): "smallwright-data-quality",
    ("steps", "top_fraction"): "smallwright-data-quality",
    ("steps", "domain_recall"): "smallwright-data-quality",
    ("steps", "statistics"): "smallwright-data-quality",
    ("steps", "long_documents"): "smallwright-data-quality",
    ("steps", "score_rules"): "smallwright-data-labels",
    ("steps", "score_llm"): "smallwright-data-labels",
    ("steps", "classifier"): "smallwright-data-classifiers",
    ("steps", "classifier_fasttext"): "smallwright-data-classifiers",
    ("steps", "classifier_encoder"): "smallwright-data-classifiers",
    ("steps", "read_jsonl"): "smallwright-data-files",
    ("steps", "read_parquet"): "smallwright-data-files",
    ("steps", "read_hub"): "smallwright-data-files",
    ("steps", "read_text"): "smallwright-data-files",
    ("steps", "read_documents"): "smallwright-data-files",
    ("sources", "demo_code"): "smallwright-data-stack-edu",
    ("steps", "code_language"): "smallwright-data-stack-edu",
    ("steps", "license_filter"): "smallwright-data-stack-edu",
    ("steps", "fetch_contents"): "smallwright-data-stack-edu",
    ("steps", "code_quality"): "smallwright-data-stack-edu",
    ("steps", "exact_dedup"): "smallwright-data-dedup",
    ("steps", "minhash"): "smallwright-data-dedup",
    ("steps", "bloom_dedup"): "smallwright-data-dedup",
    ("steps", "embedding_dedup"): "smallwright-data-dedup",
    ("steps", "decontaminate"): "smallwright-data-dedup",
    ("data", "finemath"): "smallwright-data-finemath",
    ("data", "finemath_4plus"): "smallwright-data-finemath",
    ("data", "fineweb"): "smallwright-data-fineweb",
    ("data", "fineweb_edu"): "smallwright-data-fineweb",
    ("data", "dclm_edu"): "smallwright-data-dclm-edu",
    ("data", "stack_edu"): "smallwright-data-stack-edu",
    ("data/source", "demo_code"): "smallwright-data-stack-edu",
    ("data", "jsonl"): "smallwright-data-files",
    ("data", "hub"): "smallwright-data-files",
    ("data", "documents"): "smallwright-data-files",
    ("data/scorer", "rules"): "smallwright-data-labels",
    ("data/scorer", "llm"): "smallwright-data-labels",
    ("data/classifier", "linear"): "smallwright-data-classifiers",
    ("data/classifier", "fasttext"): "smallwright-data-classifiers",
    ("data/classifier", "encoder"): "smallwright-data-classifiers",
    ("data/source", "demo_crawl"): "smallwright-data-warc",
    ("executor", "ray"): "smallwright-data-executors",
    ("executor", "slurm"): "smallwright-data-executors",
    ("tokenizer", "bpe"): "smallwright-data-tokenizer",
    ("tokens", "packed"): "smallwright-data-tokenizer",
    ("arch", "gqa"): "smallwright-arch-gqa",
    ("arch", "shared_ffn"): "smallwright-arch-shared-ffn",
    ("arch", "inherited_init"): "smallwright-arch-inherited-init",
    ("initializers", "inherited_init"): "smallwright-arch-inherited-init",
    ("pretrain", "torchtitan"): "smallwright-pretrain",
    ("posttrain", "sft"): "smallwright-posttrain",
    ("posttrain", "dpo"): "smallwright-posttrain",
    ("eval", "embedded"): "smallwright-eval",
    ("benchmarks", "smallwright_arithmetic_cloze"): "smallwright-eval",
    ("benchmarks", "smallwright_lesson_completion"): "smallwright-eval",
    ("benchmarks", "smallwright_word_order"): "smallwright-eval",
}


def install_hint(kind: str, *names: str) -> str:
    """Return ``" Install it: pip install ..."`` when first-party packages bring the names, else where to look."""
    group = BY_NAME[kind].group if kind in BY_NAME else None
    packages = sorted({PACKAGES[key] for name in names if (key := (group or kind, name)) in PACKAGES})
    if packages:
        return f" Install {'it' if len(packages) == 1 else 'them'}: pip install {' '.join(packages)}"
    return " See what is installed: python -m core.plugins"
