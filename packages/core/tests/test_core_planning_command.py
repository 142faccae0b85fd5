"""The command line of ``core.plan``: where options may stand, and what is refused in one line."""

import pytest
from core import plan, run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "h1000"], "--device h1000: unknown. Did you mean 'h100'?"),
        (["--mfu", "40"], "--mfu 40: a share of the peak, from above 0 to 1."),
        (["--price", "-1"], "--price -1: US dollars an hour, 0 or more."),
        (["--devices", "eight"], "--devices eight: give a number, or several as 8,64,256."),
        (["--devices", "0"], "--devices 0: must be at least 1"),
        (["--devices", "9" * 20], f"--devices {'9' * 20}: must be at least 1, and at most 1000000."),
        (["--scale-lr", "1e-3", "0"], "--scale-lr 0.001 0: both must be above 0."),
        (["--scale-lr", "1e-3", "nan"], "--scale-lr 0.001 nan: both must be above 0."),
        (["--scale-lr-exponent", "nan"], "--scale-lr-exponent nan: must be a finite number."),
        (["--price", "0"], "--price: needs --device."),
        (["--devices", "8"], "--devices: needs --device."),
        (["--mfu", "0.4"], "--mfu: needs --device."),
        (["--scale-lr-exponent", "1"], "--scale-lr-exponent: needs --scale-lr."),
    ],
)
def test_wrong_options_are_one_line(call, toy, arguments, message):
    done = call("plan", *toy, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("module", "option"), [(plan, ["--json"]), (run, ["--config"])])
def test_options_may_stand_among_settings_and_only_unknown_ones_are_refused(module, option, workdir, toy, capsys):
    plugin = ["--plugin", "toy_plugin.py"]
    told = []
    for arguments in ([*option, *plugin, *toy], [toy[0], *option, toy[1], *plugin, *toy[2:]]):
        assert module.main(arguments) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    with pytest.raises(SystemExit):
        module.main([toy[0], *plugin, "--foo", *toy[1:]])
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: --foo\n")


def test_help_shows_every_kind_of_use(command):
    shown = command("plan", "--help").stdout
    for word in ("--device", "--scale-lr RATE TOKENS", "--grid", "--results FILE", "python -m core.plan --grid"):
        assert word in shown
