"""Make the page of a run again, or pictures of its charts.

python -m smallwright_report runs/20260101-120000-shared_ffn-finemath
python -m smallwright_report runs/20260101-120000-shared_ffn-finemath --pictures pictures
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from core import cli
from core.errors import InputError

from smallwright_report import pictures, run_page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m smallwright_report", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run, with its report.json")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write each chart there as SVG and PNG instead")
    options = parser.parse_args(arguments)
    if not (options.run / "report.json").is_file():
        raise InputError(f"{options.run}: no report.json in it. Give the folder of a run.")
    if options.pictures is not None:
        for path in pictures.write(run_page.read(options.run / "report.json"), options.pictures):
            print(path)
        return 0
    print(f"report: {run_page.of_folder(options.run)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
