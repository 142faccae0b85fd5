"""``core.bench``: a table of speed, memory and energy, each combination measured in a process of its own."""

import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core import discovery, pages
from core.errors import ConfigError, InputError
from core.headline import count
from core.interfaces import Job, ModelCommand, NamedModel
from core.writing import replacing, write_json
from tqdm import tqdm

from smallwright_eval.talk import loading, measure, start
from smallwright_eval.talk.config import BenchConfig

VERSION = 1
"""Of the layout of ``bench.json``."""
LISTS = ("engine", "dtype", "batch", "prompt_tokens", "new_tokens")
HEADS = (
    "engine",
    "numbers",
    "batch",
    "prompt",
    "new",
    "prefill tok/s",
    "decode tok/s",
    "first token s",
    "memory MB",
    "CPU %",
)
MEASURED = ("prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s")


class Bench(ModelCommand):
    """Measure the speed of prefill and decode, the time to the first token, memory, and energy where the machine
    reports it.

    A combination that fails or takes too long is told of in its row; the others are measured all the same.
    """

    config: BenchConfig

    def check(self, model: NamedModel) -> None:
        """Refuse an engine that is not here, lengths that the model does not have, and an ``out`` that is no folder."""
        for engine in self.config.engine:
            start.check(model, engine)
        longest = max(self.config.prompt_tokens) + max(self.config.new_tokens)
        if longest >= (known := loading.positions(model)):
            raise ConfigError(
                f"prompt_tokens={max(self.config.prompt_tokens)}, new_tokens={max(self.config.new_tokens)}: together "
                f"not below the model's {known} positions. Lower them."
            )
        if self.config.out is not None and Path(self.config.out).exists() and not Path(self.config.out).is_dir():
            raise InputError(f"out={self.config.out}: is a file. Give a folder.")

    def run(self, model: NamedModel) -> int:
        """Measure every combination, print the table, and write it where ``out`` says."""
        config = self.config
        combinations = [
            dict(zip(LISTS, values, strict=True))
            for values in itertools.product(*(getattr(config, name) for name in LISTS))
        ]
        rows = []
        with tqdm(combinations, unit=" combinations", disable=None) as bar:
            for combination in bar:
                bar.set_postfix_str(" ".join(map(str, combination.values())))
                rows.append({**combination, **self._measured(model, combination)})
        found = {
            "version": VERSION,
            "model": model.named,
            "name": model.label,
            "parameters": model.planned.parameters(),
            "executed_parameters": model.planned.executed_parameters(),
            "weights_bytes": sum(file.stat().st_size for file in model.directory.glob("*.safetensors")),
            "machine": _machine(),
            "repeats": config.repeats,
            "rows": rows,
        }
        print(table(found))
        if config.out is not None:
            _write(found, Path(config.out))
        return 0 if any("error" not in row for row in rows) else 1

    def _measured(self, model: NamedModel, combination: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a process of its own measures, or ``error``."""
        config = self.config
        more = {"device": config.device, "repeats": config.repeats, "compile": config.compile}
        asked = {**combination, **more, "trust_remote_code": config.trust_remote_code}
        with tempfile.TemporaryDirectory(prefix="smallwright-bench-") as place:
            folder = Path(place)
            Job(
                name="bench",
                output=folder,
                inputs={"model": model.directory},
                seed=0,
                architecture=model.planned,
                plugin_files=model.plugin_files,
                record=asked,
            ).write(folder / "job.json")
            variables = {**start.environment(combination["engine"]), **os.environ}
            if config.compile:
                variables.pop("TORCHDYNAMO_DISABLE", None)
            if config.threads is not None:
                variables["OMP_NUM_THREADS"] = str(config.threads)
            command = [sys.executable, "-m", measure.__name__, str(folder / "job.json")]
            with open(folder / "log", "w", encoding="utf-8") as log:
                process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
                try:
                    code = process.wait(config.timeout_s)
                except subprocess.TimeoutExpired:
                    return {"error": f"not done after {config.timeout_s:g} s"}
                finally:
                    process.kill()
                    process.wait()
            if code == 0:
                result: dict[str, Any] = json.loads((folder / measure.RESULT).read_text(encoding="utf-8"))
                return result
            return {"error": _why(code, (folder / "log").read_text(encoding="utf-8", errors="replace"))}


def table(found: Mapping[str, Any]) -> str:
    """Return the table for a terminal, with what holds for all rows around it."""
    lines = [[_cell(row, name) for name in (*LISTS, *MEASURED, "memory", "cpu_percent")] for row in found["rows"]]
    widths = [max(map(len, column)) for column in zip(HEADS, *lines, strict=True)]
    head = (
        f"{found['name']}: {count(found['parameters'])} parameters, {found['weights_bytes'] / 1e6:,.0f} MB of weights; "
        f"{found['machine']['processor']}, {found['machine']['cores']} cores; medians of {found['repeats']} "
        "[least-greatest]"
    )
    shown = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in [HEADS, *lines]]
    notes = [f"{_named(row)}: {row['error']}" for row in found["rows"] if "error" in row]
    for row in found["rows"]:
        if row.get("joules_per_1000_tokens") is not None:
            notes.append(
                f"{_named(row)}: {row['joules_per_1000_tokens']} J per 1,000 new tokens ({row['energy_from']})"
            )
    if silent := {row["energy_from"] for row in found["rows"] if row.get("joules_per_1000_tokens", 0) is None}:
        notes.append(f"energy: not measured: {', '.join(sorted(silent))}")
    return "\n".join([head, *shown, *notes])


def _named(row: Mapping[str, Any]) -> str:
    return " ".join(str(row[name]) for name in LISTS)


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name == "memory":
        value = row.get("peak_device_bytes") or row.get("peak_memory_bytes")
        return "-" if value is None else f"{value / 1e6:,.0f}"
    if name == "cpu_percent":
        return str(row.get(name, "-"))
    if name not in MEASURED:
        return str(row[name])
    if name not in row:
        return "-"
    value = row[name]
    digits = 3 if name == "first_token_s" else 1 if value["median"] < 100 else 0
    return f"{value['median']:,.{digits}f} [{value['least']:,.{digits}f}-{value['greatest']:,.{digits}f}]"


def _write(found: dict[str, Any], folder: Path) -> None:
    """Write the table as JSON and Parquet, and its page where something installed makes pages."""
    import pyarrow
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "bench.json", found)
    flat = [dict(_flat(row)) for row in found["rows"]]
    keys = list(dict.fromkeys(key for row in flat for key in row))
    columns = {key: [row.get(key) for row in flat] for key in keys}
    with replacing(folder / "bench.parquet") as partial:
        pyarrow.parquet.write_table(pyarrow.table(columns), partial)
    page = pages.attempt(discovery.load(), "bench", found, folder / "bench.html")
    print(f"written: {page or folder / 'bench.json'}", file=sys.stderr)


def _flat(row: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    return [
        (f"{key}_{part}" if part else key, one)
        for key, value in row.items()
        for part, one in (value.items() if isinstance(value, Mapping) else [("", value)])
    ]


def _why(code: int, log: str) -> str:
    """Return why a process ended, from its exit code and the end of what it said."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}" + (": perhaps the memory was full" if name == "SIGKILL" else "")
    said = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith((" ", "nanobind"))]
    errors = [line for line in said if "Error" in line or "error" in line]
    return (errors or said or [f"exit code {code}"])[-1][:300]


def _machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {"processor": name, "cores": os.cpu_count(), "system": platform.platform(terse=True)}
