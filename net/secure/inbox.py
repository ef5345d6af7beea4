"""What a stream has read and nobody has taken yet.

Invariant: bytes leave in the order in which they came, and `size` counts them.
Must not know who reads, or when there is too much.
"""

from __future__ import annotations

from collections import deque


class Inbox:
    """Pieces of a stream of bytes."""

    def __init__(self) -> None:
        self.size = 0
        self._chunks: deque[bytes | memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, data: bytes) -> None:
        """Add bytes."""
        self._chunks.append(data)
        self.size += len(data)

    def take(self, n: int) -> bytes:
        """Remove and return up to `n` bytes."""
        parts: list[bytes | memoryview] = []
        while self._chunks and n:
            chunk = self._chunks[0]
            if len(chunk) <= n:
                self._chunks.popleft()
            else:
                view = memoryview(chunk)
                chunk, self._chunks[0] = view[:n], view[n:]
            parts.append(chunk)
            n -= len(chunk)
            self.size -= len(chunk)
        if len(parts) == 1 and isinstance(parts[0], bytes):
            return parts[0]
        return b"".join(parts)

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self.size = 0
