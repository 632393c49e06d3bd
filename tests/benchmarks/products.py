"""Which matrix products of an encoder layer are faster in pieces on this CPU, in bfloat16.

    python tests/benchmarks/products.py --widths 384 768 --rows 512 768 1024 2048

Behind `rows_at_once` in lightning_tune/models/fast/blocks.py. Prints for each product of a layer of
some width, forward and backward, the TFLOP/s in one call and cut into pieces of so many rows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

PIECES = (192, 256, 384, 512)


def median_seconds(call: Callable[[], object], repeats: int = 9) -> float:
    """Return the median time of a call, after two to warm up."""
    spent = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[2:])


def in_pieces(left: Tensor, right: Tensor, step: int) -> Tensor:
    """Multiply so many rows of the left matrix at a time."""
    out = left.new_empty(len(left), right.shape[1])
    for start in range(0, len(left), step):
        torch.mm(left[start : start + step], right, out=out[start : start + step])
    return out


def show(name: str, left: Tensor, right: Tensor) -> None:
    """Print the rates of one product."""
    work = 2 * left.shape[0] * left.shape[1] * right.shape[1] / 1e12
    rates = {"whole": work / median_seconds(lambda: left @ right)}
    for step in PIECES:
        if step < len(left):
            seconds = median_seconds(lambda step=step: in_pieces(left, right, step))
            rates[str(step)] = work / seconds
    line = "  ".join(f"{key} {rate:.2f}" for key, rate in rates.items())
    print(f"{name:16} {left.shape[0]:5} x {left.shape[1]:5} x {right.shape[1]:5}   {line}")


def main() -> None:
    """Measure the products of a layer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", nargs="*", type=int, default=[384, 768])
    parser.add_argument("--rows", nargs="*", type=int, default=[512, 768, 1024, 2048])
    asked = parser.parse_args()
    for width in asked.widths:
        for rows in asked.rows:
            for inner, outer in ((width, 3 * width), (width, 4 * width), (4 * width, width)):
                x, weight = (
                    torch.randn(rows, inner).bfloat16(),
                    torch.randn(outer, inner).bfloat16(),
                )
                grad = torch.randn(rows, outer).bfloat16()
                show("forward", x, weight.t())
                show("to the input", grad, weight)
                show("to the weight", grad.t(), x)


if __name__ == "__main__":
    main()
