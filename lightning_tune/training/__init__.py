"""Training: the LightningModule, its losses, metrics, optimizers, callbacks and loggers."""
