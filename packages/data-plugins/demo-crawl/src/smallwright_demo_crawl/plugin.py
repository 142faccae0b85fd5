"""Hooks of the demonstration crawl."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_demo_crawl.conf")


@hookimpl
def register_sources(register: Register) -> None:
    register(
        "demo_crawl", "smallwright_demo_crawl.stage:DemoCrawl", config="smallwright_demo_crawl.config:DemoCrawlConfig"
    )
