"""What the harnesses do, without a simulator or a model."""
