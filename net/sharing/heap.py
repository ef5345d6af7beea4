"""How the C library's allocator treats the buffers of a bulk transfer.

A clone of large blocks allocates and frees a megabyte for every few of them. By default
glibc gives each such piece back to the system at once, and has the kernel fill it with
zeros anew: a quarter of the time that a block of 64 KiB takes (docs/adr/0011). It learns
better from the largest piece that was ever freed: from then on, pieces up to that size
are kept for the next one, and what is kept is at most twice as much.

Invariant: no page of the teaching piece is touched, so that it costs no memory.
Elsewhere than on glibc this is a free allocation without effect.
"""

from __future__ import annotations

from functools import cache

TAUGHT_SIZE = 16 << 20
"""Bytes: as much as the largest message; a node keeps up to 32 MiB that it has freed."""


@cache
def keep_freed_buffers() -> None:
    """Teach the allocator, once in a process."""
    bytes(TAUGHT_SIZE)
