"""Pretraining with TorchTitan: FSDP2, distributed checkpoints, packed documents, verified export."""
