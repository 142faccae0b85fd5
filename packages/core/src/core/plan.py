# PYTHON_ARGCOMPLETE_OK
"""Say what a run would do and cost, without doing it: its stages, data, parameters, memory, time and money.

    python -m core.plan +arch=shared_ffn +data=finemath
    python -m core.plan +experiment=smollm2_135m --device h100 --devices 8,64
    python -m core.plan +arch=gqa +data=finemath --scale-lr 2e-4 2e6
    python -m core.plan +arch=gqa arch.size=smollm2-1.7b    (a question about a model needs no corpus)
    python -m core.plan model=HuggingFaceTB/SmolLM2-135M
    python -m core.plan -m arch=gqa,shared_ffn 'seed=range(0,5)' +data=finemath    (many runs)

--grid needs no data: it draws shapes (depth, width, feed-forward) of one parameter budget, each with the command line
that trains it. --results reads the scores of such shapes and says how depth, width and expansion go with them.

    python -m core.plan --grid --budget 1e9 --vocab 48000 --samples 30
    python -m core.plan --grid --budget 135e6 --vocab 32000 --width 384-1024 --head-dim 64 arch.qk_norm=true
    python -m core.plan --results scores.csv
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import cli, completion, compose, discovery, entries, observers
from core.errors import ConfigError, NotAtHand
from core.planning import devices, grid, results, stages
from core.planning.model import Hardware
from core.registry import Registry
from core.sweep import command, describe, single
from core.sweep.plan import launcher_of_sweep

SPACE_OPTIONS = tuple(grid.Space.__dataclass_fields__)
GRID_OPTIONS = (*SPACE_OPTIONS, "arch", "samples", "seed", "seq_len")
RUN_OPTIONS = ("device", "devices", "mfu", "price", "scale_lr", "scale_lr_exponent")
NEEDED = {"devices": "device", "mfu": "device", "price": "device", "scale_lr_exponent": "scale_lr"}
"""Options that mean something only beside another one, and that other one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    options = cli.parse(_parser(), arguments)
    if options.results is not None:
        correlations = results.correlations(Path(options.results))
        print(json.dumps(correlations, indent=2) if options.json else results.render(correlations))
        return 0
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    if options.grid:
        if options.multirun:
            raise ConfigError("--grid: draws shapes, and -m runs. Leave one out.")
        drawn = _grid(options, registry)
        print(json.dumps(drawn, indent=2) if options.json else grid.render(drawn))
        return 0
    several = cli.asks_for_sweep(options, only=("max_runs",))
    for name in GRID_OPTIONS:
        if getattr(options, name) is not None and not (several and name == "samples"):
            raise ConfigError(f"--{name.replace('_', '-')}: is for --grid; add --grid.")
    if several:
        planned_runs = command.planned(options, registry)
        launcher_of_sweep(planned_runs, registry, check=False)
        runs = describe.describe(planned_runs, _hardware(options))
        print(json.dumps(runs, indent=2) if options.json else describe.render(runs))
        return 0
    run, note = _planned(options.overrides, registry)
    observers.trackers(run.config, registry)
    entered = entries.model(str(run.config["model"]), registry) if run.config.get("model") else None
    planned = stages.plan(run.stages, Path(str(run.config["store"])), registry, _hardware(options), entered)
    if note is not None:
        planned["note"] = note
    print(json.dumps(planned, indent=2, default=str) if options.json else stages.render(planned))
    return 0


def _planned(overrides: Sequence[str], registry: Registry) -> tuple[single.Composed, str | None]:
    """Return the run; where its corpora or its tokenizer are not at hand, only the training, and a note on them."""
    try:
        return single.composed(overrides, registry, check=False, without_corpus=True), None
    except NotAtHand as error:
        try:
            run = single.composed(overrides, registry, check=False, without_corpus=True, at_hand=False)
        except ConfigError:
            config = compose.compose(overrides, registry)
            if "arch" in config or config.get("model"):  # what is wrong with the training
                raise
            raise error from None  # there is none to describe
        return run, f"{error} The training is planned without its corpora."


def _parser() -> argparse.ArgumentParser:
    parser = cli.run_parser("core.plan", __doc__, completion.settings)
    parser.usage = "python -m core.plan [options] [+group=option] [key=value] (see --help)"
    parser.add_argument("--json", action="store_true", help="print JSON")
    cli.add_sweep_options(parser, samples=False)  # of --grid, too
    hardware = parser.add_argument_group("time, money and learning rate")
    names = ", ".join(devices.DEVICES)
    hardware.add_argument(
        "--device", action="append", default=[], metavar="NAME", help=f"{names}, or all; may be given several times"
    )
    hardware.add_argument(
        "--devices", metavar="N[,N]", help="numbers of devices, each a rank (default: pretrain.nproc)"
    )
    hardware.add_argument(
        "--mfu",
        type=float,
        metavar="SHARE",
        help=f"share of the peak that is reached (default: {devices.MFU}, assumed)",
    )
    hardware.add_argument(
        "--price", type=float, metavar="DOLLARS", help="of a device for an hour (default: an assumption)"
    )
    hardware.add_argument(
        "--scale-lr",
        nargs=2,
        type=float,
        metavar=("RATE", "TOKENS"),
        help="a learning rate and the batch in tokens at which it was found: say the rate for this run's batch",
    )
    hardware.add_argument("--scale-lr-exponent", type=float, metavar="R", help="default: 0.5")
    space = grid.Space(budget=1, vocab=1)
    shapes = parser.add_argument_group("shapes of one budget")
    shapes.add_argument("--grid", action="store_true", help="draw shapes instead of planning a run")
    shapes.add_argument("--budget", type=float, metavar="PARAMETERS", help="stored parameters, such as 1e9 (required)")
    shapes.add_argument("--vocab", type=int, metavar="ROWS", help="rows of the embedding (required)")
    shapes.add_argument("--arch", action="append", metavar="NAME", help="default: gqa; may be given several times")
    shapes.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="shapes, or runs of intervals (-m) (default: 30 shapes)",
    )
    shapes.add_argument("--seed", type=int, metavar="N", help="chooses the shapes that are drawn (default: 0)")
    for name, what in (("depth", "layers"), ("width", "hidden_size"), ("expansion", "intermediate_size / hidden_size")):
        low, high = getattr(space, name)
        shapes.add_argument(f"--{name}", metavar="LOW-HIGH", help=f"{what} (default: {low:g}-{high:g})")
    for name, what in (
        ("head_dim", "width of a head"),
        ("heads_per_kv", "query heads that share a key/value head; 1 is multi-head attention"),
        ("width_multiple", "hidden_size is a multiple of this"),
        ("ffn_multiple", "intermediate_size is a multiple of this"),
    ):
        flag = f"--{name.replace('_', '-')}"
        shapes.add_argument(flag, type=int, metavar="N", help=f"{what} (default: {getattr(space, name)})")
    shapes.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help=f"of the budget that a shape may miss it by (default: {space.tolerance})",
    )
    shapes.add_argument("--seq-len", type=int, metavar="TOKENS", help="for FLOPs per token (default: 2048)")
    shapes.add_argument(
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
    space = grid.Space(**values)
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
        family = grid.family(name, options.overrides, registry)
        drawn = grid.sample(space, family, samples=samples, seed=seed, seq_len=seq_len)
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


if __name__ == "__main__":
    sys.exit(main())
