"""Who may end this process, and who may not."""

import os
import threading

import pytest
from core.data.executor import LocalExecutor
from core.process import ExitCalled, cores, nobody_leaves


def test_a_child_that_is_forked_meanwhile_leaves_as_ever():
    with nobody_leaves():
        child = os.fork()
        if child == 0:
            try:
                os._exit(7)
            finally:
                os.kill(os.getpid(), 9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_function_that_somebody_took_along_leaves_afterwards():
    with nobody_leaves():
        taken = os._exit
        with pytest.raises(ExitCalled):
            taken(1)
    assert os._exit is not taken
    child = os.fork()
    if child == 0:
        try:
            taken(7)
        finally:
            os.kill(os.getpid(), 9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_another_thread_is_not_held(monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    with nobody_leaves():
        thread = threading.Thread(target=os._exit, args=(3,))
        thread.start()
        thread.join()
    assert left == [3]


def test_a_run_that_has_a_share_of_the_machine_uses_no_more_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert cores() == 1
    assert LocalExecutor()._workers == 1
