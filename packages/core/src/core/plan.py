"""Say what a run would do, without doing it: stages, reused or not and why, parameters, FLOPs, memory.

python -m core.plan +arch=shared_ffn +data=finemath
python -m core.plan +arch=gqa arch.size=smollm2-1.7b +data=finemath --json
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import compose, discovery, graph, store
from core.errors import ArtifactError, UserError
from core.graph import StageSpec
from core.run import command_parser, warn_about_broken


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = command_parser("core.plan", __doc__ or "")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        registry = discovery.load(options.plugin)
        warn_about_broken(registry)
        config = compose.compose(options.overrides, registry)
        result = plan(graph.build(config, registry), Path(str(config["store"])))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2) if options.json else render(result))
    return 0


def plan(stages: Sequence[StageSpec], root: Path) -> dict[str, Any]:
    """Return the plan of checked stages as plain data; see ``render`` for its meaning."""
    result: dict[str, Any] = {"stages": [_stage(spec, root) for spec in stages]}
    training = next((spec for spec in stages if spec.name == "pretrain"), None)
    if training is not None and training.architecture is not None:
        architecture = training.architecture.build()
        estimate = training.build().plan(architecture)
        result |= {
            "architecture": training.architecture.label(),
            "stored_parameters": architecture.parameters(),
            "executed_parameters": architecture.executed_parameters(),
            "flops_per_token": architecture.flops_per_token(estimate["seq_len"]),
            "tokens": estimate["tokens"],
            "flops": architecture.flops_per_token(estimate["seq_len"]) * estimate["tokens"],
            "memory_bytes": estimate["memory_bytes"],
            "estimate": estimate,
        }
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
    differences = store.nearest_difference(root / spec.kind, spec.identity())
    if differences is None:
        reason = "no earlier artifact of this kind"
    else:
        reason = "; ".join(str(difference) for difference in differences[:3])
        reason += f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
    return {**row, "status": "new", "reason": reason}


def render(result: dict[str, Any]) -> str:
    """Show a plan on a terminal."""
    lines = [f"{row['name']:16} {row['status']:8} {row['reason']}" for row in result["stages"]]
    if "stored_parameters" in result:
        lines += [
            "",
            f"architecture         {result['architecture']}",
            f"stored parameters    {result['stored_parameters']:,}",
            f"executed parameters  {result['executed_parameters']:,} per token; a shared FFN counts per layer",
            f"FLOPs per token      {result['flops_per_token']:.3e} forward and backward",
            f"tokens               {result['tokens']:,}",
            f"FLOPs                {result['flops']:.3e}",
            f"memory               {result['memory_bytes'] / 2**30:.2f} GiB per rank",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
