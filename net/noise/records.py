"""Transport records: the bytes of a stream after its handshake.

    record = u8 type || u16le size || ciphertext        size counts ciphertext and tag
             '------ associated data -----'

ChaCha20-Poly1305 with the keys that the Noise handshake split, and the record's
number as nonce, so a record lost, repeated, reordered or changed fails, and the next
ones with it. A CLOSE record is the last, or a MOVED: a stream that ends without one was cut.

Invariant: at most one incomplete record is buffered, and it has at most 65538 bytes,
whatever size a header claims. Must not know the handshake, sockets or messages.
The sole caller of the cipher. Specified in docs/spec/stream.md, section 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from net.errors import ProtocolError

HEADER = struct.Struct("<BH")
HEADER_SIZE = 3
assert HEADER.size == HEADER_SIZE

TAG_SIZE = 16
MAX_CIPHERTEXT = 65535
"""Bytes, tag included: what the size field can say, and Noise's own limit."""
MAX_PLAINTEXT = MAX_CIPHERTEXT - TAG_SIZE
MAX_NONCE = 2**64 - 1
"""Noise reserves this value; a stream that reaches it must end."""

DATA = 0
CLOSE = 1
MOVED = 2

_pack_header = HEADER.pack
_unpack_header = HEADER.unpack_from
_pack_nonce = struct.Struct("<4xQ").pack


class RecordSealer:
    """Turns plaintext into records."""

    def __init__(self, key: bytes) -> None:
        self._encrypt = ChaCha20Poly1305(key).encrypt
        self._nonce = 0
        self.closed = False

    def seal(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Return headers and ciphertexts, in turn, that carry the data; none for no data."""
        sealed: list[bytes] = []
        if len(data) <= MAX_PLAINTEXT:
            if data:
                self._seal(DATA, data, sealed)
            return sealed
        view = memoryview(data)
        for start in range(0, len(view), MAX_PLAINTEXT):
            self._seal(DATA, view[start : start + MAX_PLAINTEXT], sealed)
        return sealed

    def seal_empty(self) -> list[bytes]:
        """Return a record without data: it shows that this side is there."""
        sealed: list[bytes] = []
        self._seal(DATA, b"", sealed)
        return sealed

    def seal_close(self) -> list[bytes]:
        """Return the last record."""
        return self._seal_last(CLOSE)

    def seal_moved(self) -> list[bytes]:
        """Return the last record of a stream that goes on elsewhere."""
        return self._seal_last(MOVED)

    def _seal_last(self, kind: int) -> list[bytes]:
        sealed: list[bytes] = []
        self._seal(kind, b"", sealed)
        self.closed = True
        return sealed

    def _seal(self, kind: int, data: bytes | bytearray | memoryview, sealed: list[bytes]) -> None:
        if self.closed:
            raise RuntimeError("the last record has been sealed")
        number = self._nonce
        if number >= MAX_NONCE:
            raise RuntimeError(f"a stream carries at most {MAX_NONCE} records")
        header = _pack_header(kind, len(data) + TAG_SIZE)
        self._nonce = number + 1
        sealed += (header, self._encrypt(_pack_nonce(number), data, header))


class RecordOpener:
    """Turns records, cut anywhere, back into plaintext."""

    def __init__(self, key: bytes) -> None:
        self._decrypt = ChaCha20Poly1305(key).decrypt
        self._nonce = 0
        self._partial = bytearray()
        self.closed = False
        self.moved = False
        """Whether the last record said that the stream goes on elsewhere."""

    @property
    def buffered(self) -> int:
        """Bytes of the incomplete record that is held."""
        return len(self._partial)

    def open(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """Yield the plaintext of each DATA record that the data completes; `data` is not kept.

        The iterator must be run to its end. Raises `ProtocolError` at the first record
        that cannot be the peer's; drop the opener then.
        """
        view = memoryview(data)
        if self._partial:
            taken = self._fill(view)
            view = view[taken:]
            if len(self._partial) < self._wanted():
                return
            whole, self._partial = self._partial, bytearray()
            plaintext = self._open(memoryview(whole))
            if not self.closed:
                yield plaintext
        position, end = 0, len(view)
        while end - position >= HEADER_SIZE:
            after = position + HEADER_SIZE + _unpack_header(view, position)[1]
            if after > end:
                break
            plaintext = self._open(view[position:after])
            position = after
            if not self.closed:
                yield plaintext
        if position < end:
            self._partial += view[position:]
            self._check_header(self._partial)

    def _wanted(self) -> int:
        """Return the size of the partial record, as far as it is known."""
        if len(self._partial) < HEADER_SIZE:
            return HEADER_SIZE
        return HEADER_SIZE + int(HEADER.unpack_from(self._partial)[1])

    def _fill(self, view: memoryview) -> int:
        """Complete the partial record as far as possible; return the bytes used."""
        used = 0
        while used < len(view):
            missing = self._wanted() - len(self._partial)
            if not missing:
                break
            piece = view[used : used + missing]
            self._partial += piece
            used += len(piece)
            self._check_header(self._partial)
        return used

    def _check_header(self, record: bytearray | memoryview) -> None:
        if len(record) < HEADER_SIZE:
            return
        kind, size = _unpack_header(record)
        if kind not in {DATA, CLOSE, MOVED}:
            raise ProtocolError(f"record type {kind} does not exist")
        if size < TAG_SIZE:
            raise ProtocolError(f"record has {size} bytes, less than its tag of {TAG_SIZE}")

    def _open(self, record: memoryview) -> bytes:
        if self.closed:
            raise ProtocolError("record after the last one")
        self._check_header(record)
        number = self._nonce
        if number >= MAX_NONCE:
            raise ProtocolError(f"more than {MAX_NONCE} records in one stream")
        try:
            plaintext = self._decrypt(
                _pack_nonce(number), record[HEADER_SIZE:], record[:HEADER_SIZE]
            )
        except InvalidTag as error:
            raise ProtocolError(
                f"record {number} is not authentic", code="not-authentic"
            ) from error
        self._nonce = number + 1
        if record[0] != DATA:
            if plaintext:
                raise ProtocolError("the last record carries data")
            self.closed = True
            self.moved = record[0] == MOVED
        return plaintext
