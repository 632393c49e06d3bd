"""Keep the memory that a training step frees, instead of handing it back to the system each time.

glibc returns large blocks at once, and the kernel clears every page when the next step asks for
them again: on a CPU a tenth of a small encoder's step. mallopt(3) is the documented switch; with
madvise(2) the kept memory stands in huge pages, which spares faults and address look-ups.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from typing import Any

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
_NEVER = -1  # as M_TRIM_THRESHOLD: nothing is handed back
_HUGE = 2 * 2**20
_AHEAD = (1792 * 2**20, 512 * 2**20)
"""Bytes of the heap that are to stand in huge pages, by preference; used up only as needed."""


def keep_freed_memory() -> bool:
    """Let this process keep freed memory until it ends, where its C library is glibc.

    Returns:
        Whether the C library agreed; elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library: Any = ctypes.CDLL(None)
    agreed = library.mallopt(_TRIM_THRESHOLD, _NEVER) and library.mallopt(_MMAP_MAX, 0)
    if agreed:
        _ask_for_huge_pages(library)
    return bool(agreed)


def _ask_for_huge_pages(library: Any) -> None:
    """Advise huge pages for the top of the heap; a kernel without them refuses: that is all."""
    library.malloc.restype = ctypes.c_void_p
    for ahead in _AHEAD:
        block = library.malloc(ctypes.c_size_t(ahead))
        if block:
            start = -(-block // _HUGE) * _HUGE
            size = (block + ahead - start) // _HUGE * _HUGE
            library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_HUGEPAGE)
            library.free(ctypes.c_void_p(block))
            return
