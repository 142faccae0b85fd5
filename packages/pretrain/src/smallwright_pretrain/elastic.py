"""torchrun, which says beside the job which rank ended first: one that is killed cannot say so itself.

``python -m smallwright_pretrain.elastic <arguments of torchrun> -m smallwright_pretrain.rank <job.json>``
"""

import contextlib
import json
import socket
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

from smallwright_pretrain.beats import DIED_FILE


def run(arguments: list[str]) -> None:
    """Run torchrun; leave ``died.json`` beside the job where a rank fails."""
    try:
        main(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said = {"rank": rank, "pid": failure.pid, "host": socket.gethostname(), "code": failure.exitcode}
        # Of several machines the first to see a failure tells; the others see what follows from it.
        with contextlib.suppress(OSError), (Path(arguments[-1]).parent / DIED_FILE).open("x", encoding="utf-8") as file:
            file.write(json.dumps(said))
        raise


if __name__ == "__main__":
    run(sys.argv[1:])
