"""Tiny models, a server that fails, and pages that say how it should fail."""

import json
import re
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from datatrove.data import Document


def _tiny_model(folder, chat):
    """Save a Llama of random weights with a small byte-level tokenizer."""
    import torch
    from smallwright_labels.prompting import Prompts
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([prompt.text for prompt in Prompts("maths", None).variants()], trainer=trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    if chat:
        fast.chat_template = (
            "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
            "{% endfor %}<|im_start|>assistant\n"
        )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model():
    return _tiny_model


ORDER = re.compile(r"\[do: ([^\]]+)\]")
GOOD = '{"reason": "clear steps", "score": 4}'


class FailingPeer(BaseHTTPRequestHandler):
    """A peer on the network that fails: it speaks OpenAI's protocol and misbehaves as ``[do: ...]`` in a page says.

    It is no model, and nothing is tested about models with it.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, {"data": [{"id": "judge", "owned_by": "nobody"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = request["messages"][0]["content"] if "messages" in request else request["prompt"]
        order = (ORDER.search(said) or [None, "well"])[1]
        page = said[said.rindex("<page>") :]
        with self.server.lock:
            self.server.seen[page] += 1
            self.server.requests.append(request)
            self.server.keys.add(self.headers.get("Authorization"))
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            self.behave(order, request, first=self.server.seen[page] == 1)
        finally:
            with self.server.lock:
                self.server.now -= 1

    def behave(self, order, request, first):
        turns = len(request.get("messages", ()))
        if order.endswith(" once") and not first:
            return self.complete(GOOD)
        match order.removesuffix(" once"):
            case "well":
                self.complete(GOOD)
            case "slowly":
                time.sleep(0.05)
                self.complete(GOOD)
            case "429":
                self.answer(429, {"error": "slow down"}, {"Retry-After": "0.01"})
            case "500":
                self.answer(500, {"error": "broken"})
            case "hang":
                self.server.over.wait(20)
            case "hang up":
                self.close_connection = True
                self.connection.close()
            case "cut the body":
                self.send(200, b'{"choices": [{"message": {"content": "{\\"reas')
            case "nonsense":
                self.send(200, b"<html>busy</html>")
            case "no choices":
                self.answer(200, {"choices": []})
            case "refuse":
                self.complete("I'm sorry, but I can't help with that.")
            case "refusal field":
                self.complete(None, refusal="I cannot do that.")
            case "stop half way":
                self.complete('{"reason": "it has', finish="length")
            case "ramble":  # and give the score when asked again
                self.complete("A page of many virtues." if turns == 1 else "Score: 2")
            case "ramble, then 500":
                self.complete("A page of many virtues.") if turns == 1 else self.answer(500, {"error": "broken"})
            case "ramble on":
                self.complete("A page of many virtues.")
            case "no schema":
                if "response_format" in request:
                    self.answer(400, {"error": {"message": "response_format is not supported"}})
                else:
                    self.complete("Two points.\nScore: 2")
            case "picky":
                if "response_format" in request:
                    self.answer(400, {"error": {"message": "not this page"}})
                else:
                    self.complete("Two points.\nScore: 2")
            case "too long":
                if len(json.dumps(request)) > 3000:
                    self.answer(400, {"error": {"message": "maximum context length is 512 tokens"}})
                else:
                    self.complete(GOOD)
            case "tell the key":
                self.answer(400, {"error": f"wrong: {self.headers['Authorization']}"})
            case "tell the key as nonsense":
                self.send(200, self.headers["Authorization"].encode())
            case "bad request":
                self.answer(400, {"error": {"message": "unknown field"}})
            case status:
                self.answer(int(status), {"error": {"message": "no such model"}})

    def complete(self, content, finish="stop", refusal=None):
        message = {"role": "assistant", "content": content, "refusal": refusal}
        self.answer(200, {"choices": [{"message": message, "text": content, "finish_reason": finish}]})

    def answer(self, status, body, headers=()):
        self.send(status, json.dumps(body).encode(), headers)

    def send(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class FailingServer(ThreadingHTTPServer):
    """Serves :class:`FailingPeer`; the connections whose numbers are in ``refused`` are closed without a word."""

    daemon_threads = True
    request_queue_size = 128  # with the default of 5 the system refuses connections by itself when it is busy

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FailingPeer)
        self.lock, self.over = threading.Lock(), threading.Event()
        self.seen, self.requests, self.keys, self.now, self.most = Counter(), [], set(), 0, 0
        self.refused, self.connections = set(), 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Say nothing of clients that are killed while they are answered, which tests do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def verify_request(self, request, client_address):
        self.connections += 1
        return self.connections not in self.refused


@pytest.fixture
def make_peer():
    """Start failing servers, each on a port of its own."""
    servers = []

    def make():
        servers.append(FailingServer())
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def peer(make_peer):
    return make_peer()


@pytest.fixture(scope="session")
def pages():
    def make(*orders, text="A lesson."):
        return [
            Document(text=f"[do: {order}] {text} {number}", id=f"{number}-{order}", metadata={})
            for number, order in enumerate(orders)
        ]

    return make
