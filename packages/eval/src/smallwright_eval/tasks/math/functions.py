"""What the YAML beside this names."""

from smallwright_eval.verdicts.maths import process_results

__all__ = ["process_results"]
