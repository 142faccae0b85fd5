"""Hooks of the WARC plugin."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_warc.conf")


@hookimpl
def register_steps(register):
    register("read_warc", "smallwright_warc.read:ReadWarc", config="smallwright_warc.config:ReadWarcConfig")
    register("extract_text", "smallwright_warc.extract:ExtractText", config="smallwright_warc.config:ExtractTextConfig")


@hookimpl
def register_sources(register):
    register("demo_crawl", "smallwright_warc.demo.crawl:DemoCrawl", config="smallwright_warc.config:DemoCrawlConfig")
