"""What the YAML beside this names."""

from smallwright_eval.verdicts.code import MBPP, HumanEval, MultiPLE

__all__ = ["MBPP", "HumanEval", "MultiPLE"]
