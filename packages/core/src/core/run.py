# PYTHON_ARGCOMPLETE_OK
"""Compose a run from what is appended, do its stages, and write the report.

    python -m core.run +arch=shared_ffn +data=finemath
    python -m core.run +arch=gqa arch.size=smollm2-135m +data=finemath 'data.paths=[/crawl/*.warc.gz]' pretrain.nproc=8
    python -m core.run +arch=shared_ffn +data=finemath '+posttrain=[sft,dpo]'
    python -m core.run model=HuggingFaceTB/SmolLM2-135M eval=smollm2_base
    python -m core.run model=store/pretrain/gqa-nano-0123456789ab '+posttrain=[sft]'
    python -m core.run -m arch=gqa,shared_ffn 'seed=range(0,5)' +data=finemath
    python -m core.run +experiment=mobillama_0_5b 'data.paths=[...]' +launcher=slurm launcher.nodes=4 launcher.gpus=8

+data alone curates a corpus; with +arch it trains and evaluates; with +posttrain it aligns. model= starts from a model
that exists (an artifact, a folder, a hub id); corpus=, tokenizer= and tokens= likewise. Any setting is an override
(key=value); add --config to see them all. Stages that an earlier run finished are reused; an interrupted run goes on
where it stopped when the same command is given again. With -m it is many runs, one for each combination of values in
Hydra's sweep grammar: a,b choice() range() glob() interval().
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from core import alignment, cli, completion, compose, discovery, pages, show_config
from core.running import Ended, Run, StageOutcome, StageWork, perform
from core.sweep import command, single
from core.sweep.plan import check_here
from core.workers import Workers

__all__ = ["Run", "StageOutcome", "StageWork", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments), "interrupted: give the same command to go on from here.")


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.run_parser("core.run", __doc__, completion.settings)
    parser.add_argument("--config", action="store_true", help="print all settings and what they mean, as YAML")
    cli.add_sweep_options(parser)
    options = cli.parse(parser, arguments)
    registry = discovery.load(options.plugin)
    cli.warn_about_broken(registry)
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    if cli.asks_for_sweep(options):
        return command.run(options, registry, given)
    if options.config:
        print(show_config.render(compose.compose(options.overrides, registry), registry))
        return 0
    run = single.composed(options.overrides, registry)
    if run.one is not None and run.one.follows:
        return single.follow(run, registry, tuple(options.plugin))
    if run.one is not None and not run.one.here:
        return single.launch(run, options.plugin)
    check_here(run.stages, Path(str(run.config["store"])))
    with Workers() as workers:
        ended = perform(run.config, run.stages, registry, tuple(options.plugin), given, workers)
    return _tell(ended)


def _tell(ended: Ended) -> int:
    """Say how a run ended, and return the exit code."""
    failure, run = ended.failure, ended.run
    if failure is not None and ended.interruption is None:
        log = run.directory / "logs" / f"{failure.name}.log"
        print(cli.printable(f"error: stage {failure.name} failed: {failure.error}"), file=sys.stderr)
        print(f"       log: {log}; finished stages are kept.", file=sys.stderr)
    if ended.report is None:
        print(f"error: {ended.trouble}", file=sys.stderr)
        return 1
    for line in alignment.losses(ended.report["eval"]):
        print(f"warning: {line}", file=sys.stderr)
    for page in run.pages:
        print(f"report: {page}")
    if not run.pages:
        print(f"report: {ended.written} (a page for people comes with {pages.HOW})")
    if ended.interruption is not None:
        raise ended.interruption
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
