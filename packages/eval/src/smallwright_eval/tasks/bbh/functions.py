"""What the YAML beside this names."""

from smallwright_eval.verdicts.text import exactly_matched as process_results

__all__ = ["process_results"]
