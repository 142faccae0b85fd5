"""A hub dataset by streaming: the hub's own client library against a server that speaks its protocol."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

API = "/api/datasets/owner/toy"


class Hub(BaseHTTPRequestHandler):
    """One dataset, ``owner/toy``, out of a folder: its description, file trees, and files by range."""

    protocol_version = "HTTP/1.1"
    root: Path
    commit: str
    asked: list[tuple[str, str]]

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.asked.append((path, self.headers.get("Range") or ""))
        if path in (API, f"{API}/revision/{self.commit}", f"{API}/revision/main"):
            self.answer_json({"id": "owner/toy", "sha": self.commit, "siblings": [], "tags": []})
        elif path.startswith(f"{API}/revision/"):
            self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        elif path.startswith(f"{API}/tree/"):
            folder = self.root / path.removeprefix(f"{API}/tree/").partition("/")[2]
            recursive = "recursive=true" in self.path
            found = sorted(folder.rglob("*") if recursive else folder.iterdir()) if folder.is_dir() else []
            self.answer_json([self.entry(item) for item in found])
        elif "/resolve/" in path and path.startswith("/datasets/owner/toy/"):
            self.answer_file(self.root / path.split("/resolve/", 1)[1].partition("/")[2])
        else:
            self.answer(404, b"{}", X_Error_Code="RepoNotFound")

    def entry(self, item):
        path = item.relative_to(self.root).as_posix()
        digest = hashlib.sha1(item.read_bytes() if item.is_file() else path.encode()).hexdigest()
        kind, size = ("file", item.stat().st_size) if item.is_file() else ("directory", 0)
        return {"type": kind, "path": path, "oid": digest, "size": size}

    def answer_file(self, file):
        if not file.is_file():
            self.answer(404, b"", X_Error_Code="EntryNotFound")
            return
        data = file.read_bytes()
        headers = {"X_Repo_Commit": self.commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1 if last else None]
            headers["Content_Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            self.answer(206, part, **headers)
        else:
            self.answer(200, data, **headers)

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content_Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path):
    root = tmp_path / "served"
    (root / "data").mkdir(parents=True)
    for number in range(2):
        rows = pa.table({"text": [f"row {number}", "a copy"]})
        pq.write_table(rows, root / f"data/train-{number:05d}-of-00002.parquet")
    (root / "lines").mkdir()
    (root / "lines/all.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one line"}\nbroken\n', mtime=0))
    (root / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"
        "- config_name: lines\n  data_files: lines/*\n---\n"
    )
    handler = type("Served", (Hub,), {"root": root, "commit": "a" * 40, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HOME": str(tmp_path / "hf"),
        "OMP_NUM_THREADS": "1",
    }

    def run(*overrides):
        command = [sys.executable, "-m", "core.run", "+data=hub", "executor.workers=1", *overrides]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    handler.run = staticmethod(run)
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def documents(folder):
    (artifact,) = (folder / "store/data").glob("hub-*")
    return artifact, pq.read_table(artifact / "documents").to_pylist()


@pytest.mark.slow
def test_a_dataset_is_streamed_at_the_commit_that_a_revision_is(hub, tmp_path):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    pytest.importorskip("smallwright_dedup", reason="the recipe names a step of smallwright_dedup")
    ended = hub.run("data.steps.read.dataset=owner/toy")
    assert ended.returncode == 0, ended.stderr
    artifact, rows = documents(tmp_path)
    assert [row["text"] for row in rows] == ["row 0", "a copy", "row 1"]
    assert rows[0]["id"] == "train-00000-of-00002.parquet:0"
    about = json.loads(rows[0]["metadata"])
    assert (about["dataset"], about["revision"]) == ("owner/toy", "a" * 40)
    assert any(path.endswith("train-00001-of-00002.parquet") and asked for path, asked in hub.asked)  # by range
    assert json.loads((artifact / "funnel.json").read_text())[0]["in"] == 4
    again = hub.run("data.steps.read.dataset=owner/toy", "data.steps.read.revision=main")  # the same commit
    assert (again.returncode, documents(tmp_path)[0]) == (0, artifact)
    assert "reused" in again.stdout
    hub.commit = "b" * 40
    assert hub.run("data.steps.read.dataset=owner/toy").returncode == 0
    assert len(list((tmp_path / "store/data").glob("hub-*"))) == 2


@pytest.mark.slow
def test_lines_and_what_the_hub_does_not_have(hub, tmp_path):
    pytest.importorskip("datasets", reason="the extra 'hub'")
    pytest.importorskip("smallwright_dedup", reason="the recipe names a step of smallwright_dedup")
    ended = hub.run("data.steps.read.dataset=owner/toy", "data.steps.read.name=lines")
    assert ended.returncode == 0, ended.stderr
    artifact, rows = documents(tmp_path)
    assert [row["text"] for row in rows] == ["one line"]
    assert json.loads((artifact / "funnel.json").read_text())[0]["failed"] == {"invalid JSON": 1}
    for overrides, said in (
        (["data.steps.read.dataset=owner/nothing"], "the hub has no such data set"),
        (
            ["data.steps.read.dataset=owner/toy", "data.steps.read.revision=v9"],
            "revision=v9: the hub has no revision v9",
        ),
    ):
        ended = hub.run(*overrides)
        assert ended.returncode == 2
        assert said in ended.stderr
        assert ended.stderr.count("\n") == 1
