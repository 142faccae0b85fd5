"""The scorers hold what every data step must."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from core.testing import StepConformance
from core.testing.documents import nasty_documents, plain_documents


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


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # The scorer asks 64 at a time. A shorter queue cuts off connections on a busy machine, and reports count retries.
    request_queue_size = 128


class TestScoreLlm(StepConformance):
    plugin = "score_llm"
    settings = {"backend": "server", "model": "judge", "base_url": "http://127.0.0.1:1/v1", "backoff": 0.01}

    @classmethod
    def prepare(cls, folder):
        server = Server(("127.0.0.1", 0), Peer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return {"base_url": f"http://127.0.0.1:{server.server_port}/v1"}


class ClassifierConformance(StepConformance):
    """Documents of which half have a label, of whatever kind."""

    @classmethod
    def documents(cls):
        documents = [*plain_documents(90), *nasty_documents()]
        for place, document in enumerate(documents[:60]):
            document["metadata"]["label"] = place % 6
        return documents


class TestClassifier(ClassifierConformance):
    plugin = "classifier"
    settings = {"features": 4096, "by": "language", "min_labels": 20}


class TestFastTextClassifier(ClassifierConformance):
    plugin = "classifier_fasttext"
    settings = {"dim": 8, "buckets": 1000, "epochs": 2}


class TestEncoderClassifier(ClassifierConformance):
    plugin = "classifier_encoder"
    settings = {
        "encoder": "set/by-prepare",
        "max_tokens": 32,
        "max_chars": 500,
        "epochs": 2,
        "batch": 16,
        "device": "cpu",
    }

    @classmethod
    def prepare(cls, folder):
        """A small BERT with random weights."""
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        texts = [document["text"] for document in plain_documents()]
        tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)
        fast.save_pretrained(folder)
        torch.manual_seed(0)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        BertModel(BertConfig(vocab_size=len(fast), max_position_embeddings=40, **shape)).save_pretrained(folder)
        return {"encoder": str(folder)}
