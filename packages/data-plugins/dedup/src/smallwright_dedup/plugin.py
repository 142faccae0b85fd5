"""Hooks of the dedup plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1

STEPS = {
    "exact_dedup": ("exact:ExactDedup", 2),
    "minhash": ("minhash:MinHash", 2),
    "bloom_dedup": ("bloom:BloomDedup", 2),
    "embedding_dedup": ("embeddings:EmbeddingDedup", 1),
    "decontaminate": ("decontaminate:Decontaminate", 3),
}
"""Where each step is, and the version of its results."""


@hookimpl
def register_steps(register: Register) -> None:
    for name, (target, version) in STEPS.items():
        config = f"smallwright_dedup.config:{target.partition(':')[2]}Config"
        register(name, f"smallwright_dedup.{target}", config=config, artifact_version=version)
