"""vLLM's server in a process of its own, which ends when the one that started it does: ``<its id> <arguments>``."""

import os
import runpy
import signal
import sys
import threading
import time
import warnings

SERVER = "vllm.entrypoints.openai.api_server"
"""``vllm serve`` looks for a distribution called vllm, which the one for CPUs is not."""


def watch(parent: int) -> None:
    """End this process, and what it started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    if os.getpgrp() == os.getpid():  # what it started is of its group
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve, and end without what Python does at its end: libraries tell there, in fifty lines, of what they leave."""
    threading.Thread(target=watch, args=(int(sys.argv.pop(1)),), daemon=True).start()
    warnings.simplefilter("ignore")
    code = 0
    try:
        runpy.run_module(SERVER, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:400]}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
