"""From files to batches: sources, labels, tokenization, batching, the data module."""
