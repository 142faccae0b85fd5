"""What the YAML beside this names."""

from smallwright_eval.long_context.tasks import Needle, Ruler

__all__ = ["Needle", "Ruler"]
