"""The small centre of smallwright: hooks, configuration, planning, running, artifacts and the report.

It imports no torch, transformers or vllm, so that every command answers in under a second.
"""

PLUGIN_API_VERSION = 1
