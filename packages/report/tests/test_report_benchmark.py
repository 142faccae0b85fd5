"""``benchmarks/report.py`` measures what is written and drawn now; its bounds are for it alone to judge."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra 'data'")


@pytest.mark.slow
def test_the_benchmark_of_a_large_run_makes_report_and_page(tmp_path, capsys):
    path = Path(__file__).parents[3] / "benchmarks" / "report.py"
    spec = importlib.util.spec_from_file_location("report_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    benchmark.make_data(tmp_path / "store" / "data" / "web-0", 160)
    benchmark.make_training(tmp_path / "store" / "pretrain" / "gqa-1", 20)
    benchmark.measure(tmp_path)
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == ["report.json", "report.html", "together", "the"]
    page = (tmp_path / "report.html").read_text()
    for words in ("160", "gopher_quality", "Gradient norm"):
        assert words in page
