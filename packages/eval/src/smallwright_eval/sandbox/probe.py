"""Whether programs can be run here, found out once by running one; else the words of what does not work, and a fix."""

import functools
import os
import platform
import shutil
from pathlib import Path

from core.errors import ConfigError, nearest

from smallwright_eval.sandbox import seccomp
from smallwright_eval.sandbox.languages import LANGUAGES
from smallwright_eval.sandbox.run import Sandbox
from smallwright_eval.sandbox.settings import CodeConfig

INSTALL = "Install bubblewrap: apt-get install bubblewrap (Debian, Ubuntu), dnf install bubblewrap (Fedora)."
ALLOW = (
    "Let it make namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), a profile of AppArmor for bwrap "
    "(Ubuntu), --privileged for a container; or evaluate on a machine of your own."
)


@functools.cache
def problem(language: str = "py") -> str | None:
    """Return why programs of a language cannot be run here, with a remedy; None where they can.

    Raises:
        ConfigError: no such language.
    """
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ConfigError(f"language {language!r}: unknown.{nearest(language, LANGUAGES)} Languages: {known}.")
    if shutil.which("bwrap") is None:
        return f"bwrap is not installed. {INSTALL}"
    if seccomp.program() is None:
        return f"its filter of system calls is not known for {platform.machine()}. Evaluate on x86-64 or 64-bit ARM."
    for tool in ("/usr/bin/prlimit", "/usr/bin/sh", *(["/usr/bin/setpriv"] if os.geteuid() == 0 else [])):
        if not Path(tool).is_file():
            return f"{tool} is not there. Install util-linux."
    spoken = LANGUAGES[language]
    if spoken.find() is None:
        return f"there is no {spoken.needs} below /usr. Install it, or leave the task out."
    if language != "py" and (fault := problem("py")) is not None:
        return fault
    outcome = Sandbox(CodeConfig(seconds=10.0)).run(spoken.imports + spoken.hello, language)
    if outcome.ending == "ended" and outcome.code == 0 and outcome.output == "hello\n":
        return None
    said = " ".join(outcome.output.split())[:300] or f"nothing ({outcome.ending}, exit code {outcome.code})"
    fix = ALLOW if language == "py" else f"It needs {spoken.needs}; without it, leave the task out."
    return f'a first {language} program did not run, and said: "{said}". {fix}'


def check(language: str, where: str) -> None:
    """Refuse a task whose programs cannot be run here.

    Args:
        where: What is refused, for the message: ``eval.tasks: smollm2_humaneval``.

    Raises:
        ConfigError: with the words of what does not work.
    """
    fault = problem(language)
    if fault is not None:
        raise ConfigError(f"{where} runs {language} programs that the model writes, and there is no sandbox: {fault}")
