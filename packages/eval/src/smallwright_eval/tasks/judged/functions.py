"""What the YAML beside this names."""

from smallwright_eval.verdicts.judged import MTBench, OpenRewrite, rewritten, turns
from smallwright_eval.verdicts.rouge import process_results

__all__ = ["MTBench", "OpenRewrite", "process_results", "rewritten", "turns"]
