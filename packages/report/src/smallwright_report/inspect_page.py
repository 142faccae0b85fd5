"""The page of ``core.inspect``: what a corpus kept and set aside, and why."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import documents, numbers, page


def render(data: Mapping[str, Any]) -> str:
    """Return the page of ``corpora``, each the fields of :class:`core.data.samples.Findings`."""
    corpora = [_corpus(found) for found in data["corpora"]]
    title = ", ".join(found["name"] for found in corpora)
    return page.fill("inspect.html", {"title": title, "corpora": corpora}, charts=any(c["charts"] for c in corpora))


def _corpus(found: Mapping[str, Any]) -> dict[str, Any]:
    charts = [documents.funnel(found["funnel"])] if found["funnel"] else []
    charts += [documents.scores(name, scores) for name, scores in found["scores"].items()]
    tables = [numbers.table([name, "kept", "set aside"], rows, name) for name, rows in found["tables"].items()]
    groups = [{**group, **_fate(group), "documents": group["samples"]} for group in found["groups"]]
    return {**found, "charts": charts, "tables": tables, "groups": groups}


def _fate(group: Mapping[str, Any]) -> dict[str, Any]:
    title = group["outcome"] if not group["step"] else f"{group['outcome']} by {group['step']}: {group['reason']}"
    return {"title": title, "number": group["documents"]}
