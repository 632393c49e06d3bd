"""`bench --bundle`: measure one bundle in turns with another, or with its own fp32 model."""

from __future__ import annotations

from collections.abc import Mapping

from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.cpu import usable_cores
from lightning_tune.serving.manifest import PORTABLE
from lightning_tune.serving.measuring import Speed, measure, mixed_texts


def measure_bundles(bundle: str, against: str | None, threads: int | None) -> None:
    """Print latencies, throughput and the ratio of both.

    Raises:
        BundleError: if a bundle is damaged or foreign.
    """
    first = Bundle(bundle, threads=threads)
    compared = {bundle: first}
    if against is not None:
        name = against if against != bundle else f"{against} again"
        compared[name] = Bundle(against, threads=threads)
    elif first.manifest.model != PORTABLE:
        compared[f"{bundle} in fp32"] = Bundle(bundle, threads=threads, portable=True, verify=False)
    texts = mixed_texts()
    count = threads or usable_cores()
    print(
        f"{len(texts)} texts of mixed lengths, {count} thread{'s' if count > 1 else ''}, in turns"
    )
    print(table({name: measured for name, measured in measure(compared, texts).items()}))


def table(speeds: Mapping[str, Speed]) -> str:
    """Return a line a bundle, and the ratio of the first to the second.

    >>> print(table({"a": Speed(2.0, 3.0, 900.0), "b": Speed(5.0, 6.0, 300.0)}))
            p50 of 1 text   p95 of 1 text   texts a second
    a             2.00 ms         3.00 ms              900
    b             5.00 ms         6.00 ms              300
    ratio           2.50x           2.00x            3.00x
    """
    rows = [
        (name, f"{each.p50:.2f} ms", f"{each.p95:.2f} ms", f"{each.rows_a_second:,.0f}")
        for name, each in speeds.items()
    ]
    if len(speeds) == 2:
        one, other = speeds.values()
        rows.append(
            (
                "ratio",
                f"{other.p50 / one.p50:.2f}x",
                f"{other.p95 / one.p95:.2f}x",
                f"{one.rows_a_second / other.rows_a_second:.2f}x",
            )
        )
    width = max(len(row[0]) for row in rows)
    titles = ("", "p50 of 1 text", "p95 of 1 text", "texts a second")
    return "\n".join(
        f"{name:<{width}}  {one:>14}  {two:>14}  {three:>15}"
        for name, one, two, three in [titles, *rows]
    )
