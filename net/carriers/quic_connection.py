"""qh3's QUIC connection, driven in bursts and with a brake: the one file that knows its inside.

Three things are done here that qh3 2.1.0 (pinned for this file) does not offer:

- datagrams leave without its logging hooks, which parse every header for a logger that is
  not there: half of a sender's time.
- a received burst goes to the native core as one buffer, once the handshake is done.
- what has arrived stays inside the native core until somebody takes it. The core grants the
  peer more credit when data is taken out, not when it arrives, so QUIC's own window stops
  the peer of a reader that has stopped. (qh3 takes all out at once, and so has no brake.)

Invariant: of what is not taken out, the core keeps MAX_HELD events at most, and as many
bytes as the window has. Must not know what a stream's bytes mean.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import Any

from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection, QuicConnectionState
from qh3.quic.events import ConnectionTerminated
from qh3.quic.tls_bridge import QuicTlsBridgeError
from qh3.tls import Epoch

from net.carriers.certificate import Certificate
from net.carriers.quic_packet import CONNECTION_ID_SIZE

ALPN = "feedlog/1"
DATAGRAM_SIZE = 1200
"""Bytes that every path carries (RFC 9000, 14.1). Larger ones need probes that may be lost."""

WINDOW = 4 << 20
"""Bytes that a peer may send unread: 100 MB/s over 40 ms."""
IDLE_TIMEOUT = 30.0
"""Seconds of silence after which the other end is gone."""
INITIAL_RTT = 0.1
"""Seconds assumed at first, so that a lost first flight is sent again after 0.3."""

MAX_HELD = 1024
"""Events kept in the native core: 64 KiB of a stream are one, so are credits and resets."""

SIGNATURES = [0x0807, 0x0403, 0x0804]
"""Ed25519, which qh3 leaves out by default, and two that other certificates may use."""

NOWHERE = ("192.0.2.1", 9)
"""The one address that the core is told of: net.carriers.quic_path knows the true one."""

Native = tuple[Any, ...]
"""An event of the native core: its kind and its values."""


def client_configuration() -> QuicConfiguration:
    """Return how we connect."""
    return QuicConfiguration(
        is_client=True,
        verify_mode=ssl.CERT_NONE,  # Noise says who it is: net.carriers.certificate
        signature_algorithms=SIGNATURES,
        **_both_ends(),
    )


def server_configuration(certificate: Certificate) -> QuicConfiguration:
    """Return how we are connected to."""
    configuration = QuicConfiguration(is_client=False, **_both_ends())
    configuration.load_cert_chain(certificate.pem, certificate.key_pem)
    return configuration


def _both_ends() -> dict[str, Any]:
    return {
        "alpn_protocols": [ALPN],
        "connection_id_length": CONNECTION_ID_SIZE,
        "idle_timeout": IDLE_TIMEOUT,
        "initial_rtt": INITIAL_RTT,
        "max_data": WINDOW,
        "max_stream_data": WINDOW,
        "max_datagram_size": DATAGRAM_SIZE,
        "max_datagram_frame_size": 0,
        "probe_datagram_size": False,
    }


class BurstConnection(QuicConnection):
    """A QUIC connection that takes and gives datagrams in bursts."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.eager = False
        """Whether to take everything out of the core at once."""
        self._natives: deque[Native] = deque()
        self._queued = 0

    @property
    def authenticated(self) -> bool:
        """Whether one packet at least has been decrypted."""
        return self._core is not None and self._core.received_authenticated_packet

    @property
    def established(self) -> bool:
        """Whether the handshake is done."""
        return self._handshake_complete

    @property
    def terminated(self) -> bool:
        """Whether nothing will happen any more."""
        return self._core is None or self._core.state == "terminated"

    @property
    def closed(self) -> ConnectionTerminated | None:
        """Why the connection is over, by either end; None while it is not."""
        return self._close_event

    @property
    def in_flight(self) -> int:
        """Bytes sent and not acknowledged."""
        return 0 if self._core is None else self._core.bytes_in_flight

    @property
    def waits(self) -> bool:
        """Whether something will be sent, first or again, as soon as its time has come.

        The core paces what it sends, so what was lost may be neither in flight nor unsent.
        """
        timer = None if self._core is None else self._core.get_timer()
        return timer is not None and timer[0] != "idle"

    def receive_burst(self, data: bytes, size: int, now: float) -> int:
        """Take datagrams of `size` bytes each, the last perhaps shorter.

        Returns how many packets were authentic and new; during the handshake, none.
        """
        if not self._handshake_complete or self._core is None:
            for start in range(0, len(data), size):
                self.receive_datagram(data[start : start + size], NOWHERE, now)
            return 0
        report = self._call_core(self._core.receive_gro_buffer, data, size, NOWHERE, now)
        self._queued += report[5]
        self._drain_core()
        return report[2]

    def datagrams(self, now: float, most: int) -> list[bytes]:
        """Return up to `most` datagrams to send."""
        out: list[bytes] = []
        if self._core is None:
            return out
        poll = self._core.poll_transmit
        while len(out) < most and (transmit := poll(now)) is not None:
            out.append(transmit[0])
        return out

    def next_native(self) -> Native | None:
        """Take out what is to be known next."""
        while not self._natives and self._core is not None:
            native = self._core.next_event()
            if native is None:
                self._queued = 0
                return None
            self._queued = max(0, self._queued - 1)
            self._take(native)
        return self.next_taken()

    def next_taken(self) -> Native | None:
        """Return what has been taken out already, which nobody may decline."""
        return self._natives.popleft() if self._natives else None

    def _drain_core(self) -> None:
        """Replaces qh3's loop, which takes all out and warns in the log of every end.

        So do we until the handshake is confirmed, when the connection is over, and when
        there is too much; otherwise it waits for `next_native`.
        """
        core = self._core
        if core is None:
            return
        calm = self._handshake_confirmed and self._close_event is None and not self.eager
        if calm and self._queued <= MAX_HELD and core.state == "connected":
            return
        self._queued = 0
        while (native := core.next_event()) is not None:
            self._take(native)

    def _take(self, native: Native) -> None:
        core, kind = self._core, native[0]
        assert core is not None, "an event came out of it"
        if kind == "crypto_data":
            self._take_crypto(native)
        elif kind == "handshake_done":
            self._handshake_confirmed = True
            core.handshake_confirmed()
        elif kind == "peer_closed":
            reason = native[4].decode("utf-8", "replace")
            self._close_event = ConnectionTerminated(native[2], native[3], reason)
        elif kind == "protocol_error":
            self._close_event = ConnectionTerminated(native[1], native[2], native[3])
        elif kind == "connection_terminated":
            self._state = QuicConnectionState.TERMINATED
            if self._close_event is None:
                reason = native[3].decode("utf-8", "replace")
                self._close_event = ConnectionTerminated(native[1], native[2], reason)
        else:
            self._natives.append(native)

    def _take_crypto(self, native: Native) -> None:
        core, bridge = self._core, self._tls
        assert core is not None, "checked by the caller"
        assert bridge is not None, "made with the core"
        try:
            bridge.receive_crypto(Epoch(native[1]), native[3], native[2], version=core.version)
            self._drain_tls()
        except QuicTlsBridgeError as error:
            reason = error.reason_phrase
            self._call_core(core.close, error.error_code, int(error.frame_type), reason.encode())
            self._close_event = ConnectionTerminated(error.error_code, error.frame_type, reason)
