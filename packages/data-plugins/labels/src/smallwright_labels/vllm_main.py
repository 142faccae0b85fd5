"""vLLM's OpenAI-compatible server, which ends when the process that started it does: ``<parent's id> <arguments>``."""

import os
import runpy
import signal
import sys
import threading
import time

SHUTDOWN_SECONDS = 20


def watch(parent: int) -> None:
    """End this process when its parent is gone, in a way that lets the server end its own children."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SHUTDOWN_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=watch, args=(int(sys.argv.pop(1)),), daemon=True).start()
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
