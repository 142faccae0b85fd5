"""What a run cost, and what is needed to make it again."""

import json
from collections.abc import Mapping
from typing import Any

from smallwright_report import numbers


def costs(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the stages with their time and memory, and the plan beside what training used."""
    rows = [
        [
            row["name"],
            row["status"],
            float(row["seconds"]),
            _float(row.get("seconds_when_made")),
            row.get("peak_memory_bytes"),
        ]
        for row in report["stages"]
    ]
    columns = ["stage", "status", "seconds in this run", "seconds when made", "peak GiB"]
    table = numbers.table(columns, rows, "The stages.", {"peak GiB": "memory"})
    made: list[dict[str, Any]] = [{"kind": "table", "table": table, "folded": ""}]
    for stage, cost in report["costs"].items():
        made.append({"kind": "table", "table": _against_plan(stage, cost), "folded": ""})
        said = [f"The plan assumes {cost['assumptions']}."] if cost["assumptions"] else []
        if missing := cost.get("missing"):
            said.append(f"Missing: {'; '.join(missing)}.")
        made.append({"kind": "text", "text": " ".join(said), "mood": "muted"})
    return made


def _against_plan(stage: str, cost: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "tokens": ("tokens", numbers.count),
        "seconds": ("time", numbers.duration),
        "tokens_per_second": ("tokens per second", lambda value: f"{value:,.0f}"),
        "mfu": ("model FLOPs utilisation", lambda value: f"{value:.0%}"),
        "memory_bytes": ("memory", numbers.memory),
        "money": ("US dollars", lambda value: f"{value:.4f}" if value < 1 else f"{value:,.2f}"),
    }
    rows = []
    for key, (name, write) in shown.items():
        planned, used = cost["planned"].get(key), cost["used"].get(key)
        if key == "mfu" and planned is None:  # of a CPU no peak is known
            continue
        texts = ["" if value is None else write(value) for value in (planned, used)]
        rows.append([name, *texts, f"{used / planned:.2f} ×" if planned and used is not None else ""])
    columns = [f"{stage} on {cost['devices']} {cost['device']}", "planned", "used", "used of planned"]
    return numbers.table(columns, rows, "Plan and receipt.", dict.fromkeys(columns[1:], "right"))


def again(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return command, date, machine, versions, commit, seeds, where the model lies, lineage and settings."""
    made = report["made"]
    machine = made["machine"]
    memory = f", {machine['memory_bytes'] / 2**30:.0f} GiB of memory" if machine.get("memory_bytes") else ""
    facts = [
        ("began", made["started"].replace("T", " ").replace("Z", " UTC")),
        ("ended", made["ended"].replace("T", " ").replace("Z", " UTC")),
        ("machine", f"{machine.get('processor', machine['system'])}, {machine['cores']} cores{memory}"),
        ("system", machine["system"]),
        ("Python", made["python"]),
        ("engines", ", ".join(f"{name} {version}" for name, version in made["engines"].items())),
        ("commit", str(made["commit"] or "")),
        ("seeds", _seeds(made["seeds"])),
        ("model", f"{report['model']} in {made['store']}" if report["model"] else ""),
        ("run", f"{report['id'] or ''} in {made['directory']}"),
    ]
    versions = "\n".join(f"{name}=={version}" for name, version in made["plugins"].items())
    blocks = [
        {"kind": "pre", "text": made["command"], "folded": ""},
        {"kind": "facts", "rows": [(name, value) for name, value in facts if value]},
        {"kind": "table", "table": _lineage(report), "folded": "lineage: what was made from what"},
        {"kind": "pre", "text": versions, "folded": "packages"},
        {"kind": "pre", "text": json.dumps(report["config"], indent=1, default=str), "folded": "resolved settings"},
    ]
    return [block for block in blocks if block.get("text") != "" and (block["kind"] != "table" or report["lineage"])]


def _seeds(seeds: Mapping[str, int]) -> str:
    if len(set(seeds.values())) == 1:
        return f"{next(iter(seeds.values()))} in every stage"
    return ", ".join(f"{stage} {seed}" for stage, seed in seeds.items())


def _lineage(report: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for node in report["lineage"]:
        inputs = ", ".join(f"{role}: {artifact}" for role, artifact in node["inputs"].items())
        more = node.get("number_of_files", 0) - len(node["files"])
        files = ", ".join(node["files"]) + (f" and {more:,} more" if more > 0 else "")
        known = [f"{key} {node[key]}" for key in ("origin", "revision", "content") if key in node]
        files = "; ".join(part for part in (", ".join(known), files) if part)
        by = "manifest missing" if node.get("missing") else f"{node['stage']} by {node['plugin']}"
        rows.append([node["artifact"], by, inputs, files, (node.get("commit") or "")[:12]])
    return numbers.table(
        ["artifact", "made in", "from", "files", "commit"], rows, "An input stands above what used it."
    )


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
