"""Why a task failed, in one line."""

import pytest
from smallwright_launchers import endings

KILLED = "it was killed (SIGKILL); when the machine ran out of memory, put fewer side by side"


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (0, "error: told and overcome\n", None),
        (
            2,
            "a\nerror: arch.size=x: unknown.\nreport: there\n\n",
            "it ended with code 2: arch.size=x: unknown.",
        ),
        (1, "Traceback\nValueError: no\n", "it ended with code 1: ValueError: no."),
        (1, "", "it ended with code 1."),
        (
            -9,
            "at step 7\n",
            f"{KILLED}: at step 7.",
        ),
        (-15, "", "it was ended by SIGTERM."),
        (-99, "", "it was ended by signal 99."),
    ],
)
def test_the_end_of_a_command_is_told_with_its_last_words(code, log, said, tmp_path):
    file = tmp_path / "log"
    file.write_text(log)
    assert endings.reason(code, file) == said


def test_a_log_that_is_long_or_missing_or_no_text_is_no_trouble(tmp_path):
    assert endings.last_words(tmp_path / "none") == ""
    file = tmp_path / "log"
    file.write_bytes(b"error: early\n" + b"x" * 100_000 + b"\n\xff\xfe last\n")
    assert endings.last_words(file) == "\ufffd\ufffd last"
