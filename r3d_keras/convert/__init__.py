"""PyTorch checkpoints to Keras models."""
