"""What the bytes of a carrier travel over, and what people call it.

    carrier.medium is Medium.RELAY        str(Medium.PUNCHED_QUIC) == "punched quic"

Invariant: descriptions of carriers begin with these words, and nothing is decided by them.
Must not know carriers.
"""

from __future__ import annotations

import enum


class Medium(enum.Enum):
    """The ways for bytes to reach a peer; punched ones lead through routers that let nobody in."""

    TCP = "tcp"
    PUNCHED_TCP = "punched tcp"
    QUIC = "quic"
    PUNCHED_QUIC = "punched quic"
    RELAY = "relay"
    MEMORY = "memory"

    def __str__(self) -> str:
        return self.value

    @property
    def is_quic(self) -> bool:
        """Whether packets are QUIC's."""
        return self in {Medium.QUIC, Medium.PUNCHED_QUIC}
