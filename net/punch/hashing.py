"""What punching hashes: keys out of a handshake, the seal of a datagram, tokens.

The two peers run a Noise handshake through others (docs/spec/stream.md, section 2); its two
record keys are not used for records, but become the keys of this exchange.
Specified in docs/spec/punch.md, section 3. Knows byte strings only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3

SESSION_CONTEXT = b"feedlog v1 punch session"
KEY_CONTEXT = b"feedlog v1 punch key"
TOKEN_CONTEXT = b"feedlog v1 punch token"

SESSION_SIZE = 8
TOKEN_SIZE = 8
SEAL_SIZE = 16


@dataclass(frozen=True, slots=True)
class PunchKeys:
    """Keys of one punch, as one of the two sides has them."""

    session: bytes
    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


def punch_keys(send_key: bytes, receive_key: bytes, handshake_hash: bytes) -> PunchKeys:
    """Return the keys that a finished handshake gives to one side.

    What one side sends with, the other receives with, because Noise has it so.
    """
    session = blake3(SESSION_CONTEXT + handshake_hash).digest(SESSION_SIZE)
    return PunchKeys(
        session,
        blake3(KEY_CONTEXT, key=send_key).digest(),
        blake3(KEY_CONTEXT, key=receive_key).digest(),
    )


def seal(key: bytes, body: bytes) -> bytes:
    """Return the code that only the two peers can make for a datagram's other bytes."""
    return blake3(body, key=key).digest(SEAL_SIZE)


def path_token(secret: bytes, socket: int, address: bytes) -> bytes:
    """Return the token that whoever receives at an address can send back from there.

    `secret` is known to one side only, and made anew for each punch.
    """
    data = TOKEN_CONTEXT + socket.to_bytes(2, "big") + address
    return blake3(data, key=secret).digest(TOKEN_SIZE)
