"""Hooks of the demonstration crawl."""

from core.hooks import hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register):
    register("smallwright_demo_crawl.conf")


@hookimpl
def register_sources(register):
    register(
        "demo_crawl", "smallwright_demo_crawl.stage:DemoCrawl", config="smallwright_demo_crawl.config:DemoCrawlConfig"
    )
