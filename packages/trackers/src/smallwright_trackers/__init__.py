"""Trackers: curves of runs in TensorBoard, Weights & Biases and MLflow, while they grow."""
