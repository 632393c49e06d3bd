"""`python -m lightning_tune`."""

from lightning_tune.cli import console

if __name__ == "__main__":
    console()
