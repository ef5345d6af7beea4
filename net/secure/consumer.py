"""A layer above a stream that would rather be called than read; see `SecureStream.attach`."""

from __future__ import annotations

from typing import Protocol

from net.errors import NetError


class Consumer(Protocol):
    """A layer that is called with what a stream receives. No call is awaited."""

    def data_received(self, data: bytes) -> None:
        """Take the plaintext of one record."""

    def stream_ended(self) -> None:
        """Learn that the peer has ended its direction."""

    def stream_lost(self, error: NetError | None) -> None:
        """Learn that the stream is gone; the last call."""

    def pause_writing(self) -> None:
        """Learn that the peer does not keep up."""

    def resume_writing(self) -> None:
        """Learn that it has caught up."""
