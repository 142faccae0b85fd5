"""What the YAML beside this names."""

from smallwright_eval.verdicts.ifeval import process_results, share_followed

__all__ = ["process_results", "share_followed"]
