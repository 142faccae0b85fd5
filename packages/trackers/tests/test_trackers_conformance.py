"""The trackers of this package hold what the kit asks; what they wrote is read with the reader of each library."""

import collections
import struct

import pytest
from smallwright_testing import TrackerConformance


class TestTensorBoard(TrackerConformance):
    plugin = "tensorboard"

    def curves(self, run, stage):
        event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        folder = run.directory / "tensorboard" / "pretrain" / stage.artifact.name
        read = event_accumulator.EventAccumulator(str(folder)).Reload()
        return {tag: [(row.step, row.value) for row in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


class TestWandb(TrackerConformance):
    plugin = "wandb"
    wrong_settings = {"tracker.mode": {"mode": "on"}, "tracker.project": {"project": ""}}

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("wandb")

    def curves(self, run, stage):
        from wandb.proto.wandb_internal_pb2 import Record

        curves = collections.defaultdict(list)
        for file in sorted(
            run.directory.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_ctime
        ):
            assert file.name == f"run-{stage.key}.wandb"
            for data in logged(file.read_bytes()):
                record = Record()
                record.ParseFromString(data)
                row = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                for key in set(row) - {"step"}:
                    if not key.startswith("_"):
                        curves[key].append((int(row["step"]), float(row[key].strip('"'))))
        return curves


def logged(content):
    """Yield the records of a log of W&B, which is one of LevelDB; wandb itself reads it in its Go part only."""
    assert content.startswith(b":W&B")
    place, parts, block = 7, b"", 32768
    while place + 7 <= len(content):
        if block - place % block < 7:  # no room for a header: the block is filled up
            place += block - place % block
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


class TestMLflow(TrackerConformance):
    plugin = "mlflow"
    wrong_settings = {"tracker.experiment": {"experiment": ""}}

    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("mlflow")

    def curves(self, run, stage):
        from mlflow import MlflowClient

        client = MlflowClient((run.directory / "mlflow").as_uri())
        experiments = [found.experiment_id for found in client.search_experiments()]
        (row,) = client.search_runs(experiments, f"tags.`smallwright.key` = '{stage.key}'")
        history = {name: client.get_metric_history(row.info.run_id, name) for name in row.data.metrics}
        return {name: [(point.step, point.value) for point in points] for name, points in history.items()}
