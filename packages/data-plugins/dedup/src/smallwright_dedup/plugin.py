"""Hooks of the dedup plugin."""

from core.hooks import Register, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register: Register) -> None:
    config = "smallwright_dedup.config:"
    register("exact_dedup", "smallwright_dedup.exact:ExactDedup", config=config + "ExactDedupConfig")
    register("minhash", "smallwright_dedup.minhash:MinHash", config=config + "MinHashConfig")
    register("bloom_dedup", "smallwright_dedup.bloom:BloomDedup", config=config + "BloomDedupConfig")
    register("embedding_dedup", "smallwright_dedup.embeddings:EmbeddingDedup", config=config + "EmbeddingDedupConfig")
    register("decontaminate", "smallwright_dedup.decontaminate:Decontaminate", config=config + "DecontaminateConfig")
