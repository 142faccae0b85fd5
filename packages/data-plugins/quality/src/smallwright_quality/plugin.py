"""Hooks of the quality plugin."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_steps(register):
    config = "smallwright_quality.config:"
    heuristics = "smallwright_quality.heuristics:"
    register("url_filter", "smallwright_quality.url:UrlFilter", config=config + "UrlFilterConfig")
    register("language", "smallwright_quality.language:Language", config=config + "LanguageConfig")
    register("gopher_repetition", heuristics + "GopherRepetition", config=config + "GopherRepetitionConfig")
    register("gopher_quality", heuristics + "GopherQuality", config=config + "GopherQualityConfig")
    register("c4_quality", heuristics + "C4Quality", config=config + "C4QualityConfig")
    register("fineweb_quality", heuristics + "FineWebQuality", config=config + "FineWebQualityConfig")
    register("pii", "smallwright_quality.pii:Pii", config=config + "PiiConfig")
    register("threshold", "smallwright_quality.threshold:Threshold", config=config + "ThresholdConfig")
