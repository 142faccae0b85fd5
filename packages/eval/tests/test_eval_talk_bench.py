"""``core.bench``: what is measured adds up, what fails is told of, and energy is counted where it can be."""

import json

import pytest
from core import discovery, named_model
from core.errors import ConfigError, InputError
from smallwright_eval.talk import bench, measure
from smallwright_eval.talk.config import BenchConfig
from smallwright_eval.talk.energy import Meter
from smallwright_testing.models import one_thread, tiny_model

pytest.importorskip("transformers")

ASKED = {
    "engine": "transformers",
    "dtype": "float32",
    "device": "cpu",
    "batch": 2,
    "prompt_tokens": 6,
    "new_tokens": 4,
    "repeats": 3,
    "compile": False,
    "trust_remote_code": False,
}
ROW = {
    **{key: ASKED[key] for key in bench.LISTS},
    "prefill_tokens_per_s": {"median": 1234.5, "least": 1000.0, "greatest": 1300.0},
    "decode_tokens_per_s": {"median": 45.67, "least": 40.0, "greatest": 50.0},
    "first_token_s": {"median": 0.25, "least": 0.2, "greatest": 0.3},
    "peak_memory_bytes": 500_000_000,
    "peak_device_bytes": None,
    "cpu_percent": 51.5,
    "joules_per_1000_tokens": None,
    "energy_from": "this machine reports no energy (no RAPL)",
}
FOUND = {
    "version": 1,
    "model": "runs/x",
    "name": "tiny",
    "parameters": 99_648,
    "executed_parameters": 99_648,
    "weights_bytes": 400_000,
    "machine": {"processor": "A processor", "cores": 2, "system": "Linux"},
    "repeats": 3,
    "rows": [ROW, {**{key: ASKED[key] for key in bench.LISTS}, "batch": 8, "error": "ended by SIGKILL"}],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("bench") / "tiny")
    return named_model.resolve(str(folder / "hf"), discovery.load())


def test_what_is_measured_adds_up(model):
    with one_thread():
        found = measure.measure(model, ASKED)
    assert (found["dtype"], found["device"], found["threads"]) == ("float32", "cpu", 1)
    first, prefill, decode = (found[key] for key in ("first_token_s", "prefill_tokens_per_s", "decode_tokens_per_s"))
    for one in (first, prefill, decode):
        assert 0 < one["least"] <= one["median"] <= one["greatest"]
    assert prefill["median"] == pytest.approx(2 * 6 / first["median"], rel=1e-3)
    assert found["peak_memory_bytes"] > model.directory.joinpath("model.safetensors").stat().st_size
    assert 0 < found["cpu_percent"] <= 101
    assert json.loads(json.dumps(found)) == found


def test_a_table_has_every_combination_and_says_what_failed():
    text = bench.table(FOUND)
    lines = text.splitlines()
    assert lines[0].startswith("tiny: 99.65 k parameters, 0 MB of weights; A processor, 2 cores; medians of 3")
    assert "1,234 [1,000-1,300]" in lines[2]
    assert "45.7 [40.0-50.0]" in lines[2]
    assert lines[2].split()[-2:] == ["500", "51.5"]
    assert lines[3].split()[-5:] == ["-", "-", "-", "-", "-"]
    assert "transformers float32 8 6 4: ended by SIGKILL" in lines
    assert lines[-1] == "energy: not measured: this machine reports no energy (no RAPL)"
    counted = {**FOUND, "rows": [{**ROW, "joules_per_1000_tokens": 12.5, "energy_from": "RAPL"}]}
    assert bench.table(counted).splitlines()[-1].endswith("12.5 J per 1,000 new tokens (RAPL)")


def test_the_table_is_written_as_json_parquet_and_a_page(tmp_path):
    import pyarrow.parquet

    bench._write(FOUND, tmp_path / "table")
    assert json.loads((tmp_path / "table/bench.json").read_text()) == FOUND
    rows = pyarrow.parquet.read_table(tmp_path / "table/bench.parquet").to_pylist()
    assert [row["decode_tokens_per_s_median"] for row in rows] == [45.67, None]
    assert rows[1]["error"] == "ended by SIGKILL"


@pytest.mark.parametrize(
    ("code", "log", "why"),
    [
        (-9, "", "ended by SIGKILL: perhaps the memory was full"),
        (1, "loading\nValueError: no kernel\nnanobind: leaked\n", "ValueError: no kernel"),
        (2, "", "exit code 2"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(code, log, why):
    assert bench._why(code, log) == why


def test_lengths_beyond_the_models_and_files_in_the_way_are_refused(model, tmp_path):
    with pytest.raises(ConfigError, match=r"prompt_tokens=500, new_tokens=64: .*512 positions"):
        bench.Bench(BenchConfig(prompt_tokens=(8, 500))).check(model)
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="is a file"):
        bench.Bench(BenchConfig(out=str(tmp_path / "out"))).check(model)


def test_energy_is_counted_over_the_end_of_a_counter(tmp_path):
    for name, before in (("intel-rapl:0", 900_000), ("intel-rapl:1", 10_000_000), ("intel-rapl:0:0", 5)):
        (zone := tmp_path / name).mkdir()
        (zone / "energy_uj").write_text(f"{before}\n")
        (zone / "max_energy_range_uj").write_text("1000000\n" if name.endswith(":0") else "99000000\n")
    meter = Meter("cpu", tmp_path)
    meter.begin()
    (tmp_path / "intel-rapl:0/energy_uj").write_text("400000\n")  # began anew
    (tmp_path / "intel-rapl:1/energy_uj").write_text("12000000\n")
    assert meter.joules() == pytest.approx(0.5 + 2.0)
    assert meter.sources == ["RAPL"]


def test_a_machine_without_counters_says_so(tmp_path):
    meter = Meter("cpu", tmp_path)
    meter.begin()
    assert (meter.joules(), meter.why_not) == (None, "this machine reports no energy (no RAPL)")
    (tmp_path / "intel-rapl:0").mkdir()
    assert Meter("cpu", tmp_path).why_not == "RAPL can be read by root only"
