"""The numbers of a report by flat names."""

from core.sweep import metrics


def test_the_numbers_of_a_report_have_one_flat_name_each():
    report = {
        "stages": [
            {"name": "data", "status": "ran", "seconds": 1.0},
            {"name": "pretrain", "status": "reused", "seconds": 0.0, "seconds_when_made": 9.5, "peak_memory_bytes": 7},
            {"name": "eval", "status": "ran", "seconds": 2.0},
        ],
        "data": {"documents": 5, "characters": 60, "corpora": {}},
        "pretrain": {"validation_loss": 1.5, "loss_curve": [[1, 2.0]], "engine": {"name": "toy"}, "compiled": True},
        "posttrain": {"sft": {"examples": 3, "skipped": None}},
        "eval": [
            {"model": "pretrain", "task": "toy", "metric": "acc", "value": 0.5},
            {"model": "sft", "task": "toy", "metric": "acc", "value": None},
        ],
    }
    assert metrics.of_report(report) == {
        "data.seconds": 1.0,
        "pretrain.seconds": 9.5,
        "pretrain.peak_memory_bytes": 7,
        "eval.seconds": 2.0,
        "data.documents": 5,
        "data.characters": 60,
        "sft.examples": 3,
        "pretrain.validation_loss": 1.5,
        "pretrain.toy.acc": 0.5,
    }
