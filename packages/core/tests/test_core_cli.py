"""How all commands end: one line for what the user can mend, quietly where nobody reads, and with no traceback."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest
from core import cli, inspect, lineage, plan, plugins, run, store
from core.errors import ConfigError

COMMANDS = {"run": run, "plan": plan, "plugins": plugins, "lineage": lineage, "inspect": inspect}
TOY = ["--plugin", "toy_plugin.py", "+data=toy"]
LONG = {
    "run": [*TOY, "--config"],
    "plan": TOY,
    "plugins": ["--json"],
    "lineage": ["store/crawl/toy-0123"],
    "inspect": ["store/data/toy-0123"],
}
"""Arguments with which each command prints several lines."""


@pytest.fixture
def stored(workdir):
    """The working directory with a store of a crawl and a corpus."""
    from core.data.documents import ParquetSink
    from datatrove.data import Document

    crawl, data = (workdir / "store" / folder / "toy-0123" for folder in ("crawl", "data"))
    crawl.mkdir(parents=True)
    (crawl / "0.txt").write_text("x")
    identity = {"plugin": "toy"}
    store.finish(crawl, {"stage": "crawl", "folder": "crawl", "identity": identity, "inputs": {}, "external_files": []})
    kept = ParquetSink(data / "documents" / "00000.parquet")
    kept.write(Document(text="kept", id="0", metadata={}))
    kept.close()
    return workdir


def ended(workdir, name, arguments, **streams):
    line = [sys.executable, "-m", f"core.{name}", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # output that waits in a buffer fails later, at the exit
    return subprocess.run(line, cwd=workdir, env=environment, text=True, timeout=120, **streams)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_has_gone_ends_the_command_quietly(stored, name):
    """As in ``... | head -1``; nobody reads from the start, so that it does not hang on who is quicker."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = ended(stored, name, LONG[name], stdout=pipe)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_reader_of_both_streams_that_has_gone_ends_the_command_quietly(stored):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        assert ended(stored, "lineage", ["nowhere"], stdout=pipe, stderr=pipe).returncode == 1


def test_head_gets_its_line(stored):
    line = f"{sys.executable} -m core.lineage store/crawl/toy-0123 | head -1"
    done = subprocess.run(["bash", "-c", line], cwd=stored, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("made from\n", "")


def test_a_full_disk_below_the_output_is_one_line(stored):
    with open("/dev/full", "w") as full:
        done = ended(stored, "lineage", LONG["lineage"], stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the disk of the output is full: free space")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, ""),
        (signal.SIGTERM, 143, "SIGTERM: "),
        (signal.SIGHUP, 129, "SIGHUP: "),
    ],
)
def test_ctrl_c_and_what_schedulers_send_are_one_line(number, code, told):
    script = (
        "import signal, sys, time; from core import cli\n"
        # A process in the background of a script is started with the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # nohup starts it with this one ignored
        "def work(): print('ready', flush=True); time.sleep(60)\n"
        "sys.exit(cli.carry_out(work, 'interrupted: go on as you like.'))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (code, f"{told}interrupted: go on as you like.\n")


def test_a_command_leaves_the_signals_as_they_were():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)}
    assert cli.carry_out(lambda: 0) == 0
    assert {number: signal.getsignal(number) for number in before} == before


def test_an_error_cannot_steer_the_terminal(capsys):
    def work():
        raise ConfigError("row\x1b[2J\x07 of été\u202e")

    assert cli.carry_out(work) == 2
    assert capsys.readouterr().err == "error: row [2J  of été \n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("x=1: no."), 2, "error: x=1: no.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 2, "error: /x/y: Permission denied.\n"),
        (OSError("no route to the store"), 2, "error: no route to the store.\n"),
        (KeyboardInterrupt(), 130, "interrupted.\n"),
    ],
)
def test_what_is_not_our_mistake_is_one_line(capsys, error, code, line):
    def work():
        raise error

    assert cli.carry_out(work) == code
    assert capsys.readouterr().err == line


def test_our_own_mistakes_and_the_parsers_exit_are_left_alone():
    def mistake():
        raise KeyError("x")

    with pytest.raises(KeyError):
        cli.carry_out(mistake)
    with pytest.raises(SystemExit) as ended:
        cli.carry_out(lambda: sys.exit(7))
    assert ended.value.code == 7
    assert cli.carry_out(lambda: 3) == 3


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_options_are_refused_with_the_commands_name(workdir, capsys, name):
    with pytest.raises(SystemExit) as refused:
        COMMANDS[name].main([*LONG[name], "--no-such-option"])
    assert refused.value.code == 2
    told = capsys.readouterr().err
    assert told.splitlines()[-1] == f"python -m core.{name}: error: unrecognized arguments: --no-such-option"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("run", [*TOY, "data.no_such=1"], "data.no_such: unknown key"),
        ("plan", [*TOY, "what is this"], "cannot read 'what is this'"),
        ("plugins", ["show", "no_such"], "nothing installed is called 'no_such'"),
        ("plugins", ["--plugin", "no_such.py"], "no_such.py: no such file"),
        ("lineage", ["store/data/no_such"], "store/data/no_such: no such artifact or file"),
        ("lineage", ["toy_plugin.py", "--store", "no_such"], "no_such: no such folder"),
        ("inspect", ["store/data/no_such"], "store/data/no_such: no such folder"),
        (
            "inspect",
            ["store/data/toy-0123", "--html", "no_such/page.html"],
            "no installed plugin makes pages. Install one: pip install smallwright-report",
        ),
        ("run", [*TOY, "run_dir=toy_plugin.py/x"], "toy_plugin.py/x cannot be written"),
    ],
)
def test_what_cannot_be_done_is_one_line(stored, capsys, name, arguments, message):
    assert COMMANDS[name].main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


def test_a_store_that_is_not_there_yet_is_empty(call):
    planned = json.loads(call("plan", "+data=toy", "store=no/such", "--json").stdout)
    assert {row["status"] for row in planned["stages"]} == {"new"}


def test_a_damaged_report_of_a_run_is_named(stored, capsys):
    (stored / "run" / "logs").mkdir(parents=True)
    (stored / "run" / "report.json").write_text("{")
    assert inspect.main(["run"]) == 2
    assert "run/report.json is damaged" in capsys.readouterr().err


def test_a_setting_that_is_given_twice_is_warned_of(capsys):
    cli.parse(cli.run_parser("core.x", None), ["a=1", "a=2"])
    assert capsys.readouterr().err == "warning: a is set twice; a=2 counts, and a=1 changes nothing\n"


def test_settings_may_stand_between_options():
    parser = cli.run_parser("core.x", None)
    parser.add_argument("--flag", action="store_true")
    options = cli.parse(parser, ["a=1", "--flag", "b=2", "--plugin", "x.py", "c=3"])
    assert (options.overrides, options.flag, options.plugin) == (["a=1", "b=2", "c=3"], True, ["x.py"])


@pytest.mark.slow
def test_commands_import_no_engine(command):
    """Planning, listing and a configuration error must answer quickly: none may import an engine."""
    script = (
        "import sys, json\n"
        "from core import plan, plugins, run\n"
        "plugins.main([]); run.main(['+data=toy', 'data.steps.drop.wrod=x', '--plugin', 'toy_plugin.py'])\n"
        "print(json.dumps([m for m in ('torch', 'transformers', 'vllm', 'datasets') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []
    assert "data.steps.drop.wrod: unknown key. Did you mean 'word'?" in done.stderr
