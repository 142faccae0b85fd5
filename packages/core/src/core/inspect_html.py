"""The page of :mod:`core.inspect`: one file, no network, no scripts."""

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from core.report_html import document, funnel_table, histogram, table

if TYPE_CHECKING:
    from core.data.samples import Findings, Group, Sample


def render(findings: "Sequence[Findings]") -> str:
    """Return the page of one or several corpora."""
    title = ", ".join(found.name for found in findings)
    return document(title, "\n".join(map(_corpus, findings)))


def _corpus(found: "Findings") -> str:
    looked = "" if found.read == found.documents else f" {found.read:,} of them were read, evenly spread."
    parts = [f"<h1>{escape(found.name)}</h1><p>{found.documents:,} documents, kept and set aside.{looked}</p>"]
    if found.funnel:
        parts.append("<h2>Steps</h2>" + funnel_table(found.funnel))
    parts.append("<h2>Samples</h2>")
    parts += map(_group, found.groups)
    if found.scores:
        caption = "kept (blue), set aside (orange)"
        charts = "".join(histogram(scores, f"{name}: {caption}") for name, scores in found.scores.items())
        parts.append(f'<h2>Scores</h2><div class="charts">{charts}</div>')
    for name, rows in found.tables.items():
        shown = [[value, f"{kept:,}", f"{aside:,}"] for value, kept, aside in rows]
        parts.append(f"<h2>{escape(name.capitalize())}</h2>")
        parts.append(table([name, "kept", "set aside"], shown, numeric={1, 2}))
    if found.clusters:
        parts.append("<h2>Largest groups of duplicates</h2>")
        for cluster in found.clusters:
            sides = "".join(
                f"<h4>{what}</h4>{_sample(cluster[what]) if cluster[what] else '<p>set aside by a later step</p>'}"
                for what in ("kept", "removed")
            )
            title = f"{cluster['size']:,} documents, found by {escape(cluster['step'])}"
            parts.append(f"<details><summary>{title}</summary>{sides}</details>")
    return "".join(parts)


def _group(group: "Group") -> str:
    title = group.outcome if not group.step else f"{group.outcome} by {group.step}: {group.reason}"
    samples = "".join(map(_sample, group.samples))
    return f"<details><summary>{escape(title)} ({group.documents:,})</summary>{samples}</details>"


def _sample(sample: "Sample") -> str:
    # The address is shown, not linked: pages that were set aside include what nobody should open by a slip.
    cut = f", cut after {len(sample.text):,}" if len(sample.text) < sample.characters else ""
    metadata = escape(json.dumps(sample.metadata, indent=1, ensure_ascii=False, default=str))
    length = f'<span class="muted">{sample.characters:,} characters{cut}</span>'
    return (
        f"<p><b>{escape(sample.url or sample.id)}</b> {length}</p>"
        f'<pre class="text">{escape(sample.text)}</pre>'
        f"<details><summary>metadata</summary><pre>{metadata}</pre></details>"
    )
