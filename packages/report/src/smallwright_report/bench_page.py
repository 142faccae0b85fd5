"""The page of ``core.bench``: speed and memory of each combination as bars, and all that was measured as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from smallwright_report import charts, numbers, page

WORDS = {"engine": "", "dtype": "", "batch": "batch", "prompt_tokens": "prompt", "new_tokens": "new"}
LISTS = ("engine", "dtype", "batch", "prompt_tokens", "new_tokens")
SPEEDS = {
    "decode_tokens_per_s": ("Decode", "New tokens of the whole batch a second, after the first of each sequence."),
    "prefill_tokens_per_s": ("Prefill", "Tokens of the prompts that are read a second."),
    "first_token_s": ("Time to the first token", "Seconds from the prompt to the first token of every sequence."),
}
UNITS = {"first_token_s": "seconds"}


def render(found: Mapping[str, Any]) -> str:
    """Return the page of a ``bench.json``."""
    differ = [key for key in LISTS if len({row[key] for row in found["rows"]}) > 1] or ["engine"]
    named = [{**row, "name": _named(row, differ)} for row in found["rows"]]
    rows = [row for row in named if "error" not in row]
    pictures = [_speed(rows, key) for key in SPEEDS] + [_memory(rows)] if rows else []
    values = {
        "title": f"How fast {found['name']} is",
        "charts": pictures,
        "measured": _measured(found),
        "failed": [(row["name"], row["error"]) for row in named if "error" in row],
        "facts": [
            ("model", found["model"]),
            ("stored parameters", numbers.number(found["parameters"])),
            ("parameters executed per token", numbers.number(found["executed_parameters"])),
            ("weights", f"{found['weights_bytes'] / 1e6:,.1f} MB"),
            ("machine", f"{found['machine']['processor']}, {found['machine']['cores']} cores"),
            ("measured", f"{found['repeats']} times each, in a process of its own for each combination"),
        ],
    }
    return page.fill("bench.html", values, charts=bool(pictures))


def _speed(rows: Sequence[Mapping[str, Any]], key: str) -> charts.Chart:
    title, about = SPEEDS[key]
    columns = ["combination", "median", "least", "greatest"]
    cells = [[row["name"], *(row[key][part] for part in columns[1:])] for row in rows]
    axis = UNITS.get(key, "tokens a second")
    found = [(row["name"], row[key]["median"]) for row in rows]
    return charts.bars(title, about, found, axis, numbers.table(columns, cells, axis))


def _memory(rows: Sequence[Mapping[str, Any]]) -> charts.Chart:
    about = "The most memory that the process took at once; on a GPU, of the GPU's."
    found = [(row["name"], _peak(row) / 2**30) for row in rows]
    table = numbers.table(["combination", "GiB"], [list(pair) for pair in found], about, {"GiB": 2})
    return charts.bars("Memory", about, found, "GiB", table)


def _measured(found: Mapping[str, Any]) -> dict[str, Any]:
    columns = [
        *LISTS,
        "decode tokens/s",
        "prefill tokens/s",
        "first token, s",
        "GiB",
        "CPU %",
        "J / 1,000 new",
    ]
    cells = []
    for row in found["rows"]:
        known = "error" not in row
        speeds = [row[key]["median"] if known else None for key in SPEEDS]
        more = [row.get("cpu_percent"), row.get("joules_per_1000_tokens")]
        cells.append([*(row[name] for name in LISTS), *speeds, _peak(row) / 2**30 if known else None, *more])
    silent = sorted({row["energy_from"] for row in found["rows"] if row.get("joules_per_1000_tokens", 0) is None})
    caption = "Medians." + (f" Energy was not measured: {', '.join(silent)}." if silent else "")
    return numbers.table(columns, cells, caption, {"GiB": 2})


def _peak(row: Mapping[str, Any]) -> float:
    return float(row.get("peak_device_bytes") or row["peak_memory_bytes"])


def _named(row: Mapping[str, Any], differ: Sequence[str]) -> str:
    """Return what tells a combination from the others, short enough for the axis of a chart."""
    return ", ".join(f"{WORDS[key]} {row[key]}".strip() for key in differ)
