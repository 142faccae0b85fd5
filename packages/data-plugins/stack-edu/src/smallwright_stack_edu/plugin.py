"""Hooks of the Stack-Edu plugin."""

from core.hooks import Register, RegisterPackage, hookimpl

PLUGIN_API_VERSION = 1


@hookimpl
def register_configs(register: RegisterPackage) -> None:
    register("smallwright_stack_edu.conf")


@hookimpl
def register_steps(register: Register) -> None:
    package = "smallwright_stack_edu."
    register("code_language", package + "language:CodeLanguage", config=package + "config:CodeLanguageConfig")
    register("license_filter", package + "license:LicenseFilter", config=package + "config:LicenseFilterConfig")
    register(
        "fetch_contents",
        package + "fetch:FetchContents",
        config=package + "config:FetchContentsConfig",
        artifact_version=2,
    )
    register("code_quality", package + "quality:CodeQuality", config=package + "config:CodeQualityConfig")


@hookimpl
def register_sources(register: Register) -> None:
    package = "smallwright_stack_edu."
    register("demo_code", package + "stage:DemoCode", config=package + "config:DemoCodeConfig")
