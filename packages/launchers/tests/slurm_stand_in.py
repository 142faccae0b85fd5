"""Stand-in for sbatch, squeue and scancel where there is no Slurm: a job is a process of this machine.

It answers in Slurm 22.05's words. What it holds lies in the folder that ``STAND_IN_FOR_SLURM`` names. The file
``limit`` there has the number of jobs that may be in the queue at a time; with ``never`` it starts none, and with
``forget`` it forgets what has ended.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

LIVE = ("PENDING", "RUNNING")


def main(program: str, arguments: list[str]) -> int:
    """Do what the program of that name does."""
    folder = Path(os.environ["STAND_IN_FOR_SLURM"])
    return {"sbatch": sbatch, "squeue": squeue, "scancel": scancel, "job": job}[program](folder, *arguments)


def sbatch(folder: Path, script: str) -> int:
    words = [line[8:] for line in Path(script).read_text().splitlines() if line.startswith("#SBATCH ")]
    options = dict(shlex.split(word)[0].removeprefix("--").partition("=")[::2] for word in words)
    refused = ""
    if options.get("partition") == "nowhere":
        refused = "Invalid partition name specified"
    limit = folder / "limit"
    if limit.exists() and sum(state(place)[0] in LIVE for place in folder.glob("[0-9]*")) >= int(limit.read_text()):
        refused = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    if refused:
        (folder / "refused").touch()
        print(f"sbatch: error: Batch job submission failed: {refused}", file=sys.stderr)
        return 1
    number = 1 + max((int(place.name) for place in folder.glob("[0-9]*")), default=0)
    place = folder / str(number)
    place.mkdir()
    (place / "script").write_text(Path(script).read_text())
    (place / "options").write_text(options["output"] + "\n" + options.get("dependency", ""))
    hopeless = (folder / "never").exists()
    say(place, "PENDING", "PartitionTimeLimit" if hopeless else "None")
    if not hopeless:
        command = [sys.executable, "-S", "-E", __file__, "job", str(number)]
        null = subprocess.DEVNULL
        process = subprocess.Popen(command, start_new_session=True, stdin=null, stdout=null, stderr=null)
        (place / "group").write_text(str(process.pid))
    print(f"Submitted batch job {number}")
    return 0


def job(folder: Path, number: str) -> int:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a job has nothing of who submitted it
    place = folder / number
    output, dependency = (place / "options").read_text().split("\n")
    while any(state(folder / other)[0] in LIVE for other in dependency.split(":")[1:]):
        time.sleep(0.01)
    say(place, "RUNNING", "None")
    environment = {**os.environ, "SLURM_JOB_ID": number}
    code = 1
    try:
        with open(re.sub("%[j%]", lambda found: number if found[0] == "%j" else "%", output), "ab") as log:
            code = subprocess.run(["bash", place / "script"], stdout=log, stderr=log, env=environment).returncode
    finally:
        say(place, "COMPLETED" if code == 0 else "FAILED", "None")
    return 0


def squeue(folder: Path, *arguments: str) -> int:
    (jobs,) = (word.removeprefix("--jobs=").split(",") for word in arguments if word.startswith("--jobs="))
    known = {number: state(folder / number) for number in jobs if (folder / number).exists()}
    if (folder / "forget").exists():
        known = {number: said for number, said in known.items() if said[0] in LIVE}
    if not known:
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    for number, (name, reason) in known.items():
        print(f"{number}|{name}|{reason}")
    return 0


def scancel(folder: Path, number: str) -> int:
    place = folder / number
    say(place, "CANCELLED", "None")  # first: a job may cancel itself
    if (place / "group").exists():
        os.killpg(int((place / "group").read_text()), signal.SIGKILL)
    return 0


def state(place: Path) -> list[str]:
    return (place / "state").read_text().split("|") if (place / "state").exists() else ["GONE", ""]


def say(place: Path, name: str, reason: str) -> None:
    (place / "state.new").write_text(f"{name}|{reason}")
    (place / "state.new").rename(place / "state")


def install(folder: Path) -> dict[str, str]:
    """Write the programs into a folder and return the environment variables that lead to them."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue", "scancel", "srun"):
        start = f'exec {shlex.quote(sys.executable)} -S -E {shlex.quote(__file__)} {name} "$@"'
        (programs / name).write_text(f"#!/bin/sh\n{start}\n")
        (programs / name).chmod(0o755)
    (folder / "jobs").mkdir()
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "STAND_IN_FOR_SLURM": str(folder / "jobs")}


def end(folder: Path) -> None:
    """End all jobs."""
    for group in (folder / "jobs").glob("*/group"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(group.read_text()), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
