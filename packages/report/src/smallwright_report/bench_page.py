"""The page of ``core.bench``: speed and memory of each combination as bars, and all that was measured as a table."""

from collections.abc import Mapping
from typing import Any

from smallwright_report import charts, numbers, page

LISTS = ("engine", "dtype", "batch", "prompt_tokens", "new_tokens")
SPEEDS = {
    "decode_tokens_per_s": ("Decode", "New tokens of the whole batch a second, after the first of each sequence."),
    "prefill_tokens_per_s": ("Prefill", "Tokens of the prompts that are read a second."),
    "first_token_s": ("Time to the first token", "Seconds from the prompt to the first token of every sequence."),
}
UNITS = {"first_token_s": "seconds"}


def render(found: Mapping[str, Any]) -> str:
    """Return the page of a ``bench.json``."""
    rows = [row for row in found["rows"] if "error" not in row]
    pictures = [_speed(rows, key) for key in SPEEDS] + [_memory(rows)] if rows else []
    values = {
        "title": f"How fast {found['name']} is",
        "charts": pictures,
        "measured": _measured(found),
        "failed": [(_named(row), row["error"]) for row in found["rows"] if "error" in row],
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


def _speed(rows: list[Mapping[str, Any]], key: str) -> charts.Chart:
    title, about = SPEEDS[key]
    columns = ["combination", "median", "least", "greatest"]
    cells = [[_named(row), *(row[key][part] for part in columns[1:])] for row in rows]
    axis = UNITS.get(key, "tokens a second")
    found = [(_named(row), row[key]["median"]) for row in rows]
    return charts.bars(title, about, found, axis, numbers.table(columns, cells, axis))


def _memory(rows: list[Mapping[str, Any]]) -> charts.Chart:
    about = "The most memory that the process took at once; on a GPU, of the GPU's."
    found = [(_named(row), _peak(row) / 2**30) for row in rows]
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
        "J per 1,000 new tokens",
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


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['engine']} {row['dtype']}, {row['batch']} x {row['prompt_tokens']}+{row['new_tokens']}"
