"""``lm_eval`` holds what every evaluator must, here on Transformers; on vLLM in ``test_eval_engines.py``."""

from smallwright_testing import EvaluatorConformance


class TestLMEval(EvaluatorConformance):
    plugin = "lm_eval"
    settings = {"engine": "transformers", "dtype": "float32", "limit": 6}
    wrong_settings = {"limit": {"limit": 0}, "tasks": {"tasks": [], "perplexity": False}}
