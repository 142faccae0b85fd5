"""The steps that label hold what every data step must."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from smallwright_testing import StepConformance


class TestScoreRules(StepConformance):
    plugin = "score_rules"


class TestScoreRulesOfASample(StepConformance):
    plugin = "score_rules"
    settings = {"domain": "education", "sample": 5, "strata": "language", "balance_by": "score"}


class Peer(BaseHTTPRequestHandler):
    """A peer on the network, no model: it speaks OpenAI's protocol and rates a page by its hash; some it refuses."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"data": [{"id": "judge"}]})

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"]))
        score = hashlib.sha256(request).digest()[0] % 8
        said = json.dumps({"reason": "by hash", "score": score}) if score < 6 else "I cannot say."
        self.answer({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})

    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class BusyServer(ThreadingHTTPServer):
    """Closes every fifth connection without a word; which requests meet that differs from run to run."""

    daemon_threads = True
    request_queue_size = 128
    connections = 0

    def verify_request(self, request, client_address):
        self.connections += 1
        return self.connections % 5 != 0


class TestScoreLlm(StepConformance):
    plugin = "score_llm"
    settings = {
        "backend": "server",
        "model": "judge",
        "base_url": "http://127.0.0.1:1/v1",
        "backoff": 0.01,
        "retries": 20,
    }

    @classmethod
    def prepare(cls, folder):
        server = BusyServer(("127.0.0.1", 0), Peer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return {"base_url": f"http://127.0.0.1:{server.server_port}/v1"}
