"""The PyTorch-free runtime: what happens to a text on its way to the encoder, and production."""
