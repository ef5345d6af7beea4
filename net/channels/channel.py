"""One channel: what it still has to send, what it has half received, what it may.

A channel has two lanes each way. Messages in one lane keep their order; an urgent one
overtakes what is queued or half sent in the bulk lane, of its own channel and of all
others. Both lanes spend the same credit, and bulk leaves a little for urgent ones.

Invariant: `send` never sends. It queues, and the mux takes fragments when the stream
has room, so that what is urgent is decided as late as possible.
Must not know frames, other channels or the stream. Specified in docs/spec/stream.md, section 4.3.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Protocol

from net.channels.messages import MAX_CREDIT, MAX_PAYLOAD
from net.channels.window import ReceiveWindow
from net.errors import ClosedError, LimitError, ProtocolError

MAX_MESSAGE = 16 << 20
"""Bytes of one message: a block of the largest size fits with its proof."""

SEND_HIGH = 1 << 20
"""Bytes queued above which a channel is not writable."""
SEND_LOW = 256 << 10
"""Bytes queued below which it is writable again: a few milliseconds of a fast link."""
SEND_LIMIT = 64 << 20
"""Bytes queued that a sender which ignores `writable` cannot exceed."""

URGENT_RESERVE = 2 << 10
"""Credit that bulk leaves: requests and cancels are smaller."""


SMALL_FRAGMENT = 32 << 10
"""Bytes below which a received fragment is gathered with its neighbours."""


class State(enum.Enum):
    """Where a channel stands, as this side sees it."""

    WAITING = "waiting"  # for the channel before it, of the same name, to be over
    OPENING = "opening"  # our Open is sent
    OPEN = "open"  # both Opens are seen and proven
    CLOSING = "closing"  # our Close is sent, theirs is not here
    CLOSED = "closed"


TRANSITIONS = {
    State.WAITING: {State.OPENING, State.OPEN, State.CLOSED},
    State.OPENING: {State.OPEN, State.CLOSING, State.CLOSED},
    State.OPEN: {State.CLOSING, State.CLOSED},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set(),
}


class ChannelHandler(Protocol):
    """What the user of a channel does with it. Calls must not block and are not awaited."""

    def channel_opened(self, channel: Channel) -> None:
        """Both sides hold the feed's key: messages may be sent."""

    def message_received(self, channel: Channel, data: bytes, urgent: bool) -> None:
        """Take a message; `channel.consume(len(data))` when it is dealt with."""

    def channel_drained(self, channel: Channel) -> None:
        """The channel is writable again."""

    def channel_closed(self, channel: Channel, reason: str) -> None:
        """The channel is over, and it was not we who closed it; the last call."""


class Owner(Protocol):
    """What a channel asks of its mux."""

    def wake(self, channel: Channel) -> None:
        """Put the channel in line: it has something to send."""

    def replenish(self, channel: Channel) -> None:
        """Give credit back to the peer where it is due."""

    def close(self, channel: Channel, reason: str = "") -> None:
        """Close the channel."""


class SendLane:
    """Messages of one urgency, on their way out."""

    __slots__ = ("_offset", "messages")

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque()
        self._offset = 0

    def take(self, limit: int) -> tuple[bytes | memoryview, bool]:
        """Return at most `limit` bytes of the oldest message, and whether more of it follows."""
        message = self.messages[0]
        start = self._offset
        end = start + limit
        if end < len(message):
            self._offset = end
            return memoryview(message)[start:end], True
        self.messages.popleft()
        self._offset = 0
        return (memoryview(message)[start:] if start else message), False

    def clear(self) -> None:
        """Forget everything."""
        self.messages.clear()
        self._offset = 0


class ReceiveLane:
    """Fragments of one message of one urgency, on their way in.

    Invariant: what is held costs about as much memory as it has bytes, however small
    the fragments are: large ones are kept as they are, small ones are gathered.
    """

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray] = []
        self.size = 0

    def add(self, payload: memoryview) -> None:
        """Keep a fragment; raises `LimitError` when the message grows too large."""
        self.size += len(payload)
        if self.size > MAX_MESSAGE:
            raise LimitError(f"message has more than {MAX_MESSAGE} bytes", MAX_MESSAGE)
        if len(payload) >= SMALL_FRAGMENT:
            # A copy, because the view would keep the whole record alive.
            self._parts.append(bytes(payload))
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += payload
        else:
            self._parts.append(bytearray(payload))

    def finish(self) -> bytes:
        """Return the message, and forget it."""
        message = b"".join(self._parts)
        self.clear()
        return message

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
        self.size = 0


class Channel:
    """One conversation about one feed, in one protocol, on one stream."""

    def __init__(
        self,
        owner: Owner,
        key: bytes,
        name: tuple[bytes, str],
        window: ReceiveWindow,
        handler: ChannelHandler | None = None,
    ) -> None:
        self.number = -1
        """What our frames call the channel; given when its Open is sent."""
        self.key = key
        self.name = name
        self.window = window
        self.handler = handler
        self.state = State.WAITING
        self.remote_number: int | None = None
        self.credit = 0
        """Bytes that the peer lets us send now."""
        self.queued = 0
        """Bytes that wait to be sent."""
        self._owner = owner
        self._bulk = SendLane()
        self._urgent = SendLane()
        self._receiving = (ReceiveLane(), ReceiveLane())
        self._blocked = False

    def __repr__(self) -> str:
        return f"<Channel {self.number} {self.name[0].hex()[:8]} {self.name[1]} {self.state.value}>"

    @property
    def discovery_key(self) -> bytes:
        """The 32 bytes under which both sides speak of the feed."""
        return self.name[0]

    @property
    def protocol(self) -> str:
        """What is spoken on the channel."""
        return self.name[1]

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self.state is State.OPEN

    @property
    def writable(self) -> bool:
        """Whether to send more; when it turns true again, `ChannelDrained` says so."""
        return self.state is State.OPEN and not self._blocked

    @property
    def partial(self) -> int:
        """Bytes received of messages that are not complete."""
        return self._receiving[0].size + self._receiving[1].size

    def send(self, message: bytes, *, urgent: bool = False) -> None:
        """Queue a message of 1 to 16 MiB bytes; raises `ClosedError` unless the channel is open.

        Nothing stops a caller that ignores `writable` before 64 MiB are queued.
        """
        if self.state is not State.OPEN:
            raise ClosedError(f"channel is {self.state.value}")
        size = len(message)
        if not 0 < size <= MAX_MESSAGE:
            raise ValueError(f"message has {size} bytes, limits 1 and {MAX_MESSAGE}")
        if self.queued + size > SEND_LIMIT:
            raise RuntimeError(f"{self.queued} bytes queued, limit {SEND_LIMIT}: heed `writable`")
        (self._urgent if urgent else self._bulk).messages.append(bytes(message))
        self.queued += size
        if self.queued > SEND_HIGH:
            self._blocked = True
        self._owner.wake(self)

    def consume(self, size: int) -> None:
        """Tell that `size` bytes of messages have been dealt with: the peer may send as many."""
        if self.state is not State.OPEN:
            return
        self.window.consumed(size)
        self._owner.replenish(self)

    def close(self, reason: str = "") -> None:
        """Close the channel; what is still queued is not sent."""
        self._owner.close(self, reason)

    def become(self, state: State) -> None:
        """Change state; the mux calls this."""
        assert state in TRANSITIONS[self.state], (self, state)
        self.state = state
        if state in {State.CLOSING, State.CLOSED}:
            self._bulk.clear()
            self._urgent.clear()
            for lane in self._receiving:
                lane.clear()
            self.queued = 0
            self.window.release()  # what still comes is dropped as it comes

    def sendable(self, *, urgent: bool) -> bool:
        """Tell whether a fragment of the lane may be sent now."""
        if urgent:
            return self.credit > 0 and bool(self._urgent.messages)
        return self.credit > URGENT_RESERVE and bool(self._bulk.messages)

    def take(self, *, urgent: bool) -> tuple[bytes | memoryview, bool, bool]:
        """Return the next fragment of a lane, whether more follow, and if the queue drained."""
        lane = self._urgent if urgent else self._bulk
        credit = self.credit if urgent else self.credit - URGENT_RESERVE
        payload, more = lane.take(min(MAX_PAYLOAD, credit))
        size = len(payload)
        self.credit -= size
        self.queued -= size
        drained = self._blocked and self.queued < SEND_LOW
        if drained:
            self._blocked = False
        return payload, more, drained

    def grant(self, size: int) -> None:
        """Take credit from the peer; raises `ProtocolError` for more than there can be."""
        if self.credit + size > MAX_CREDIT:
            raise ProtocolError(f"credit of {self.credit + size} bytes, limit {MAX_CREDIT}")
        self.credit += size

    def receive(self, payload: memoryview, *, urgent: bool, more: bool) -> bytes | None:
        """Take a fragment; return the message that it completes."""
        size = len(payload)
        if not size:
            raise ProtocolError("fragment without bytes")
        self.window.received(size)
        lane = self._receiving[urgent]
        if not more and not lane.size:
            return bytes(payload)
        lane.add(payload)
        return None if more else lane.finish()
