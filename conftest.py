"""Tests of several packages share a process: TorchTitan must learn that the device is a CPU before any imports it."""

import importlib.util

if importlib.util.find_spec("smallwright_pretrain") is not None:
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
