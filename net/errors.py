"""Everything that the network raises on account of peers, paths and time.

Misuse of the API is not here: it raises `ValueError`, `TypeError` or `RuntimeError`.
Only a `PeerError` may close a session or count against a peer. Attributes carry the
facts; the message is one sentence that names the value and the limit.

    NetError
      PeerError(code)         their fault: what they sent cannot come from a correct peer
        HandshakeError        no secure stream came about: bad keys, bad signature, garbage
        ProtocolError         authentic bytes that break the rules of a protocol
        LimitError(limit)     allowed in kind, but more of it than we accept
      ConnectError(tried)     nobody's fault: no path to the peer; says what was tried
        NotFound              nobody announces the key that was looked for
        PunchError(reason)    no hole between the two NATs; the reason is a short stable word
      RefusedError            the other side (or our own `allow`) said no
      ListenError             an address cannot be listened on: in use, or not ours
      ClosedError             the stream, channel or node has been closed
      DeadlineError           not done in the time given; also a `TimeoutError`
"""

from __future__ import annotations

from collections.abc import Sequence

from feedlog.errors import FeedlogError


class NetError(FeedlogError):
    """Base of every error that a peer, a path or the clock can cause."""


class PeerError(NetError):
    """A peer broke a rule. The stream that it came by is closed.

    `code` is a short stable word for logs, counters and the close record.
    """

    code = "peer"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class HandshakeError(PeerError):
    """The Noise handshake failed: no key, no identity, or no sense in the bytes."""

    code = "handshake"


class ProtocolError(PeerError):
    """Authenticated bytes break the rules of the protocol that they are part of."""

    code = "protocol"


class LimitError(PeerError):
    """A peer asks for, or sends, more than `limit`."""

    code = "limit"

    def __init__(self, message: str, limit: int, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.limit = limit


class ConnectError(NetError):
    """No connection came about. `tried` lists each attempt and how it ended.

    `summary` is the message without that list.
    """

    def __init__(self, message: str, tried: Sequence[str] = ()) -> None:
        super().__init__(f"{message} (tried: {'; '.join(tried)})" if tried else message)
        self.summary = message
        self.tried = tuple(tried)


class NotFound(ConnectError):
    """Nobody announces the key; `tried` says where was looked."""


class PunchError(ConnectError):
    """No direct way to the peer: `reason` is the name of a `net.punch.puncher.Reason`."""

    def __init__(self, message: str, reason: str, tried: Sequence[str] = ()) -> None:
        super().__init__(message, tried)
        self.reason = reason


class RefusedError(NetError):
    """The other side, or a policy of our own, refused."""


class ListenError(NetError):
    """An address cannot be listened on."""


class ClosedError(NetError):
    """The stream, channel, connection or node is closed."""


class DeadlineError(NetError, TimeoutError):
    """Something was not done in the time given for it."""
