"""Say what a run would do, without doing it: stages, reused or not and why, data, parameters, memory, time, money.

    python -m core.plan +arch=shared_ffn +data=finemath
    python -m core.plan +experiment=smollm2_135m --device h100 --devices 8,64
    python -m core.plan +arch=gqa +data=finemath --scale-lr 2e-4 2e6

--grid needs no data: it draws shapes (depth, width, feed-forward) of one parameter budget, each with the command line
that trains it, and --results says how depth, width and expansion go with the scores that they reached.

    python -m core.plan --grid --budget 1e9 --vocab 48000 --samples 30
    python -m core.plan --grid --budget 135e6 --vocab 32000 --width 384-1024 --head-dim 64 arch.qk_norm=true
    python -m core.plan --results scores.csv
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import compose, devices, discovery, graph, plan_data, plan_grid, plan_model, store
from core.errors import ArtifactError, ConfigError, UserError
from core.graph import StageSpec
from core.plan_model import Hardware
from core.registry import Registry
from core.run import command_parser, parse, warn_about_broken

SPACE_OPTIONS = tuple(plan_grid.Space.__dataclass_fields__)
GRID_OPTIONS = (*SPACE_OPTIONS, "arch", "samples", "seed", "seq_len")
RUN_OPTIONS = ("device", "devices", "mfu", "price", "scale_lr", "scale_lr_exponent")
NEEDED = {"devices": "device", "mfu": "device", "price": "device", "scale_lr_exponent": "scale_lr"}
"""Options of a run that say nothing without another."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = parse(_parser(), arguments)
    try:
        if options.results is not None:
            correlations = plan_grid.correlations(Path(options.results))
            print(json.dumps(correlations, indent=2) if options.json else plan_grid.render_correlations(correlations))
            return 0
        registry = discovery.load(options.plugin)
        warn_about_broken(registry)
        if options.grid:
            grid = _grid(options, registry)
            print(json.dumps(grid, indent=2) if options.json else plan_grid.render(grid), flush=True)
            return 0
        for name in GRID_OPTIONS:
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name.replace('_', '-')}: is for --grid; add --grid.")
        config = compose.compose(options.overrides, registry)
        stages = graph.build(config, registry)
        result = plan(stages, Path(str(config["store"])), registry, _hardware(options))
        print(json.dumps(result, indent=2, default=str) if options.json else render(result), flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has gone, as in ``| head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("core.plan", __doc__ or "")
    parser.usage = "python -m core.plan [options] [+group=option] [key=value] (see --help)"
    parser.add_argument("--json", action="store_true", help="print JSON")
    hardware = parser.add_argument_group("time, money and learning rate")
    names = ", ".join(devices.DEVICES)
    hardware.add_argument(
        "--device", action="append", default=[], metavar="NAME", help=f"{names}, or all; may be given several times"
    )
    hardware.add_argument(
        "--devices", metavar="N[,N]", help="numbers of devices, each a rank (default: pretrain.nproc)"
    )
    hardware.add_argument(
        "--mfu", type=float, metavar="SHARE", help=f"of the peak (default: {devices.MFU}, an assumption)"
    )
    hardware.add_argument("--price", type=float, metavar="DOLLARS", help="an hour and device (default: an assumption)")
    hardware.add_argument(
        "--scale-lr",
        nargs=2,
        type=float,
        metavar=("RATE", "TOKENS"),
        help="a learning rate and the batch in tokens at which it was found: say the rate for this run's batch",
    )
    hardware.add_argument("--scale-lr-exponent", type=float, metavar="R", help="default: 0.5")
    space = plan_grid.Space(budget=1, vocab=1)
    grid = parser.add_argument_group("shapes of one budget")
    grid.add_argument("--grid", action="store_true", help="draw shapes instead of planning a run")
    grid.add_argument("--budget", type=float, metavar="PARAMETERS", help="stored parameters, such as 1e9 (required)")
    grid.add_argument("--vocab", type=int, metavar="ROWS", help="rows of the embedding (required)")
    grid.add_argument("--arch", action="append", metavar="NAME", help="default: gqa; may be given several times")
    grid.add_argument("--samples", type=int, metavar="N", help="shapes to draw, for each architecture (default: 30)")
    grid.add_argument("--seed", type=int, metavar="N", help="of the draw (default: 0)")
    for name, what in (("depth", "layers"), ("width", "hidden_size"), ("expansion", "intermediate_size / hidden_size")):
        low, high = getattr(space, name)
        grid.add_argument(f"--{name}", metavar="LOW-HIGH", help=f"{what} (default: {low:g}-{high:g})")
    for name, what in (
        ("head_dim", "width of a head"),
        ("heads_per_kv", "query heads that share a key/value head; 1 is multi-head attention"),
        ("width_multiple", "hidden_size is a multiple of this"),
        ("ffn_multiple", "intermediate_size is a multiple of this"),
    ):
        flag = f"--{name.replace('_', '-')}"
        grid.add_argument(flag, type=int, metavar="N", help=f"{what} (default: {getattr(space, name)})")
    grid.add_argument("--tolerance", type=float, metavar="SHARE", help=f"of the budget (default: {space.tolerance})")
    grid.add_argument("--seq-len", type=int, metavar="TOKENS", help="for FLOPs per token (default: 2048)")
    grid.add_argument(
        "--results", metavar="FILE", help="CSV or JSON of depth, width, expansion, score: Spearman's correlations"
    )
    return parser


def _hardware(options: argparse.Namespace) -> Hardware:
    names = tuple(devices.DEVICES) if "all" in options.device else tuple(dict.fromkeys(options.device))
    for name in names:
        devices.device(name)
    try:
        counts = tuple(int(part) for part in (options.devices or "").split(",") if part)
    except ValueError:
        raise ConfigError(f"--devices {options.devices}: give a number, or several as 8,64,256.") from None
    hardware = Hardware(
        names=names,
        counts=counts,
        mfu=devices.MFU if options.mfu is None else options.mfu,
        price=options.price,
        scale_lr=tuple(options.scale_lr) if options.scale_lr else None,
        scale_lr_exponent=0.5 if options.scale_lr_exponent is None else options.scale_lr_exponent,
    )
    for name, needed in NEEDED.items():
        if getattr(options, name) is not None and not getattr(options, needed):
            raise ConfigError(f"--{name.replace('_', '-')}: needs --{needed.replace('_', '-')}.")
    return hardware


def _grid(options: argparse.Namespace, registry: Registry) -> dict[str, Any]:
    for name in RUN_OPTIONS:
        if getattr(options, name) not in (None, []):
            option = name.replace("_", "-")
            raise ConfigError(f"--{option}: is of a run, not of --grid. Plan the chosen shape's command with it.")
    for name in ("budget", "vocab"):
        if getattr(options, name) is None:
            raise ConfigError(f"--grid: needs --{name}, such as --budget 1e9 --vocab 48000.")
    values = {name: getattr(options, name) for name in SPACE_OPTIONS if getattr(options, name) is not None}
    for name in ("depth", "width", "expansion"):
        if name in values:
            values[name] = _bounds(f"--{name}", values[name])
    space = plan_grid.Space(**values)
    samples = 30 if options.samples is None else options.samples
    seed, seq_len = options.seed or 0, 2048 if options.seq_len is None else options.seq_len
    result: dict[str, Any] = {
        "budget": space.budget,
        "vocab": space.vocab,
        "tolerance": space.tolerance,
        "seed": seed,
        "seq_len": seq_len,
        "possible": 0,
        "rows": [],
    }
    for name in dict.fromkeys(options.arch or ["gqa"]):
        family = plan_grid.family(name, options.overrides, registry)
        drawn = plan_grid.sample(space, family, samples=samples, seed=seed, seq_len=seq_len)
        result["possible"] += drawn["possible"]
        result["rows"] += drawn["rows"]
    return result


def _bounds(flag: str, text: str) -> tuple[float, float]:
    low, dash, high = text.partition("-")
    try:
        bounds = (float(low), float(high if dash else low))
    except ValueError:
        raise ConfigError(f"{flag} {text}: give a range, such as 9-40, or one number.") from None
    if not 0 < bounds[0] <= bounds[1] < math.inf:
        raise ConfigError(f"{flag} {text}: give two numbers above 0, the smaller one first.")
    return bounds


def plan(
    stages: Sequence[StageSpec], root: Path, registry: Registry, hardware: Hardware | None = None
) -> dict[str, Any]:
    """Return the plan of checked stages as plain data; see ``render`` for its meaning."""
    result: dict[str, Any] = {
        "stages": [_stage(spec, root) for spec in stages],
        "data": [plan_data.describe(spec, registry) for spec in stages if spec.folder == "data"],
    }
    training = next((spec for spec in stages if spec.name == "pretrain"), None)
    if training is not None and training.architecture is not None:
        result |= plan_model.describe(training, hardware or Hardware())
    return result


def _stage(spec: StageSpec, root: Path) -> dict[str, Any]:
    artifact = spec.directory(root)
    row: dict[str, Any] = {
        "name": spec.name,
        "artifact": str(artifact),
        "implementation": spec.entry.name,
        "plugin": spec.entry.origin,
    }
    try:
        finished = store.read_manifest(artifact) is not None
    except ArtifactError as error:
        return {**row, "status": "damaged", "reason": str(error)}
    if finished:
        return {**row, "status": "reused", "reason": "same settings, inputs, plugin and seed"}
    if artifact.is_dir() and any(path.name != ".lock" for path in artifact.iterdir()):
        return {**row, "status": "resumed", "reason": "an earlier run did not finish it"}
    differences = store.nearest_difference(root / spec.folder, spec.identity())
    if differences is None:
        reason = "no earlier artifact of this kind"
    else:
        reason = "; ".join(str(difference) for difference in differences[:3])
        reason += f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return {**row, "status": "new", "reason": reason}


def render(result: dict[str, Any]) -> str:
    """Show a plan on a terminal."""
    lines = [f"{row['name']:16} {row['status']:8} {row['reason']}" for row in result["stages"]]
    for row in result["data"]:
        lines += ["", *plan_data.render(row)]
    if "stored_parameters" in result:
        lines += ["", *plan_model.render(result)]
        if result["hardware"]:
            lines += ["", *plan_model.render_hardware(result["hardware"], result["mfu"])]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
