"""What is published is the model as it was made, with its card; what cannot be published is said in one line."""

import base64
import http.server
import json
import threading

import pytest
import yaml
from core import publish, store
from core.errors import InputError, UserError

hub = pytest.importorskip("huggingface_hub")


def _finish(folder, kind, inputs, summary, started=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    store.finish(folder, {"stage": kind, "folder": kind, "identity": {}, "inputs": inputs, "external_files": [],
                          "summary": summary, "started": started})  # fmt: skip


@pytest.fixture
def model(tmp_path):
    """A model's artifact in a store with two evaluations of it and one of another model."""
    artifact = tmp_path / "store/pretrain/gqa-0"
    (artifact / "hf").mkdir(parents=True)
    (artifact / "hf/config.json").write_text(json.dumps({"model_type": "llama"}))
    (artifact / "hf/model.safetensors").write_bytes(b"weights")
    (artifact / "hf/training.bin").write_bytes(b"a pickle")
    (artifact / "checkpoint").mkdir()
    (artifact / "checkpoint/state.distcp").write_bytes(b"state")
    _finish(artifact, "pretrain", {}, {})
    for number, (measured, value) in enumerate([(artifact, 0.5), (artifact, 0.4), (tmp_path / "other", 0.9)]):
        rows = [{"task": "quiz", "metric": "acc", "value": value, "num_fewshot": 0}]
        folder = tmp_path / f"store/eval/gqa-{number}"
        folder.mkdir(parents=True)
        answer = {"prompt": "Who?", "decoding": "greedy", "text": f"number {number}", "ended": False}
        (folder / "answers.jsonl").write_text(json.dumps(answer) + "\n")
        _finish(folder, "eval", {"model": str(measured)}, {"eval": rows}, 9.0 - number)
    return artifact


def _said(capsys, *arguments):
    assert publish.main(list(map(str, arguments))) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("given", ["artifact", "folder", "run"])
def test_a_dry_run_names_every_file_and_uploads_none(model, tmp_path, capsys, given):
    (tmp_path / "run").mkdir()
    stages = [{"artifact": str(model)}, {"artifact": str(tmp_path / "store/eval/gqa-0")}]
    (tmp_path / "run/report.json").write_text(json.dumps({"stages": stages}))
    place = {"artifact": model, "folder": model / "hf", "run": tmp_path / "run"}[given]
    assert publish.main([str(place), "--to", "me/m", "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert "model.safetensors" in listed
    assert "README.md" in listed
    assert "nothing was uploaded" in listed
    assert "training.bin" not in listed
    assert "state.distcp" not in listed


def test_the_folder_has_the_card_with_the_latest_scores_of_this_model_and_the_artifact_stays(
    model, tmp_path, monkeypatch
):
    before = store.load_manifest(model)
    monkeypatch.chdir(tmp_path)
    where = ["--to", "me/m", "--to-folder", "out", "--store", "store"]
    assert publish.main([str(model), *where, "--license", "mit"]) == 0
    text = (tmp_path / "out/README.md").read_text()
    block = yaml.safe_load(text.split("---")[1])
    assert block["license"] == "mit"
    assert [metric["value"] for metric in block["model-index"][0]["results"][0]["metrics"]] == [0.5]
    assert 'model="me/m"' in text
    assert "**Who?**\n\n```text\nnumber 0 ...\n```" in text
    assert store.faults(model) == []
    assert store.load_manifest(model) == before


def test_a_folder_from_elsewhere_keeps_its_own_card(tmp_path, capsys):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").touch()
    (folder / "README.md").write_text("theirs")
    assert publish.main([str(folder), "--to", "me/m", "--to-folder", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/README.md").read_text() == "theirs"
    said = _said(capsys, folder, "--to", "me/m", "--to-folder", tmp_path / "again", "--license", "mit")
    assert "the model's own card" in said


def test_a_damaged_file_is_never_published(model, tmp_path):
    (model / "hf/model.safetensors").write_bytes(b"Weights")
    with pytest.raises(InputError, match=r"hf/model\.safetensors is missing or was changed\. Look at it with "):
        publish.gather(model / "hf", tmp_path / "out", "me/m", None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("hub_id", ["m", "me//m", "me/a/b", "me/ä", "../m"])
def test_what_is_no_id_of_the_hub_is_refused(model, capsys, hub_id):
    assert "write owner/name" in _said(capsys, model, "--to", hub_id, "--dry-run")


def test_what_stands_in_the_way_is_one_line(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hub, "get_token", lambda: None)
    assert "set HF_TOKEN" in _said(capsys, model, "--to", "me/m")
    assert "no such folder" in _said(capsys, tmp_path / "nothing", "--to", "me/m")
    assert "no model: no config.json" in _said(capsys, tmp_path, "--to", "me/m")
    (tmp_path / "report.json").write_text("{")
    assert f"{tmp_path}/report.json is damaged (JSONDecodeError" in _said(capsys, tmp_path, "--to", "me/m")
    assert "--to is not given" in _said(capsys, model)
    assert "there is something already" in _said(capsys, model, "--to-folder", tmp_path)


class Hub(http.server.BaseHTTPRequestHandler):
    """The requests of the hub's API that an upload of small files makes."""

    made: dict

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.made.setdefault(self.path, []).append(body)
        address = f"http://{self.headers['Host']}/me/m"
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for file in json.loads(body)["files"]]  # fmt: skip
            self.answer({"files": files})
        elif "/commit/" in self.path:
            self.answer({"commitUrl": f"{address}/commit/0", "commitOid": "0", "success": True})
        else:
            self.answer({"url": address, "name": "me/m", "id": "0"})

    def answer(self, value, code=200):
        text = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Say nothing."""


class Refusing(Hub):
    """A hub that takes no token."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"error": "Invalid username or password."}, 401)


@pytest.fixture
def serve(monkeypatch):
    """Serve a hub on this machine; returns what it was told."""
    servers = []

    def start(handler):
        made = {}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (handler,), {"made": made}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        hub.close_session()
        return made

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    hub.close_session()


@pytest.mark.slow
def test_an_upload_is_one_commit_of_every_file(model, serve, capsys):
    made = serve(Hub)
    assert publish.main([str(model), "--to", "me/m", "--private", "--revision", "try"]) == 0
    assert "published: " in capsys.readouterr().out
    assert json.loads(made["/api/repos/create"][0])["visibility"] == "private"
    assert "/api/models/me/m/branch/try" in made
    lines = map(json.loads, next(made[path] for path in made if "/commit/try" in path)[0].splitlines())
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    assert files.keys() == {"README.md", "config.json", "model.safetensors"}
    assert files["model.safetensors"] == b"weights"


@pytest.mark.slow
def test_a_refusal_of_the_hub_is_one_line(model, serve, capsys):
    serve(Refusing)
    assert "--to me/m" in _said(capsys, model, "--to", "me/m")


def test_a_hub_that_is_not_there_is_named(tmp_path, serve, monkeypatch):
    serve(Hub)
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        publish.upload(tmp_path, "me/m", None, private=False)
