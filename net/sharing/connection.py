"""A connection: the channels of one secure stream, driven by the event loop.

Binds a `SecureStream` to a `Mux`: plaintext goes in, events go to handlers, and frames
go out whenever the stream has room. Handlers are called in the turn of the event loop
in which the bytes came, and must not block.

Invariant: everything a peer can do wrong ends here, as a closed connection with the
reason in `error`; it never reaches a handler as an exception.
Must not know feeds or what messages mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from net.carriers.base import HIGH_WATER
from net.channels import (
    Channel,
    ChannelClosed,
    ChannelDrained,
    ChannelHandler,
    ChannelMessage,
    ChannelOpened,
    ChannelRequested,
    Mux,
    PeerLeft,
    PeerReady,
    PeerSilent,
    RequestWithdrawn,
)
from net.channels.channel import State
from net.channels.events import Event
from net.errors import ClosedError, NetError, PeerError
from net.secure.stream import SecureStream

PROTOCOL = "feedlog/channels/1"
"""What an initiator asks for in the handshake of a stream that carries channels."""


Requested = Callable[["Connection", bytes, str], None]
"""Told that the peer asks for (discovery key, protocol): open it in the call, or later,
or reject it."""


class Connection:
    """The channels that we share with one peer."""

    def __init__(
        self,
        stream: SecureStream,
        *,
        requested: Requested | None = None,
        silent: Callable[[Connection], None] = lambda _: None,
        closed: Callable[[Connection], None] | None = None,
        features: Sequence[str] = (),
    ) -> None:
        self.stream = stream
        self.error: NetError | None = None
        """Why the connection ended; None while it runs, and after a proper end."""
        self._loop = asyncio.get_running_loop()
        self._requested = requested
        self._on_silent = silent
        self._on_closed = closed
        self._paused = False
        self._flush_due = False
        self._idle = False
        """Whether nothing was written since the peer last said something."""
        self._closing = False
        self._lost = False
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.features: tuple[str, ...] = ()
        """What the peer says that it can do; empty until `wait_ready` has returned."""
        self.mux = Mux(
            initiator=stream.initiator,
            handshake_hash=stream.handshake_hash,
            now=self._loop.time(),
            features=features,
            wake=self._schedule_flush,
        )
        self._timer = self._loop.call_at(self.mux.next_timeout(), self._on_timeout)
        stream.attach(self)
        self._flush()

    def __repr__(self) -> str:
        return f"<Connection over {self.stream!r}>"

    @property
    def remote_key(self) -> bytes:
        """The peer's public key."""
        return self.stream.remote_key

    @property
    def round_trip(self) -> float | None:
        """Seconds to the peer and back, smoothed; None until it is known."""
        return self.mux.round_trip

    @property
    def is_closing(self) -> bool:
        """Whether the connection is over or about to be."""
        return self._closing

    @property
    def is_silent(self) -> bool:
        """Whether the peer has not answered lately: it may be elsewhere by now."""
        return self.mux.is_silent

    def open(self, key: bytes, protocol: str, handler: ChannelHandler) -> Channel:
        """Open a channel about feed `key`, or agree to the peer's request for it.

        Raises `ValueError` where there is one, and `ClosedError` on a connection that is over.
        """
        if self._closing:
            raise ClosedError("the connection is closed")
        try:
            return self.mux.open(key, protocol, handler)
        except PeerError as error:
            self._fail(error)
            raise

    def reject(self, discovery_key: bytes, protocol: str, reason: str = "") -> None:
        """Refuse what the peer asks for."""
        self.mux.reject(discovery_key, protocol, reason)

    async def wait_ready(self) -> None:
        """Wait for the peer's hello; raises what ended the connection if it does not come."""
        await asyncio.shield(self._ready)

    def close(self, reason: str = "") -> None:
        """Say goodbye and end the stream. Messages that wait in channels are not sent."""
        self._close(reason, linger=True)

    def _close(self, reason: str, *, linger: bool) -> None:
        if self._closing:
            return
        self._closing = True
        self._timer.cancel()
        self._end_channels(reason or "the connection is closed")
        self.mux.say_goodbye(reason)
        self._write(self.mux.data_to_send())
        self.stream.close(linger=linger)

    def doubt(self) -> None:
        """Ask the peer at once whether it is there."""
        if not self._closing:
            self.mux.doubt(self._loop.time())
            self._timer.cancel()
            self._timer = self._loop.call_at(self.mux.next_timeout(), self._on_timeout)

    async def wait_closed(self) -> None:
        """Wait until the stream is gone."""
        await self.stream.wait_closed()

    # What the stream calls.

    def data_received(self, data: bytes) -> None:
        """Take the plaintext of a record."""
        if self._closing:
            return
        self._idle = True
        try:
            self.mux.receive_data(data, self._loop.time())
        except PeerError as error:
            self._dispatch()
            self._fail(error)
        else:
            self._flush()

    def stream_ended(self) -> None:
        """Learn that the peer has ended the stream."""
        self.close()

    def stream_lost(self, error: NetError | None) -> None:
        """Learn that the stream is gone; every channel is, too."""
        if self._lost:
            return
        self._lost = True
        if self.error is None and not self._closing:
            self.error = None if error is None else _blameless(error)
        self._closing = True
        self._timer.cancel()
        reason = str(self.error) if self.error else "the connection is closed"
        self._end_channels(reason)
        if not self._ready.done():
            self._ready.set_exception(self.error or ClosedError(reason))
            self._ready.exception()  # nobody has to wait for it
        if self._on_closed is not None:
            self._on_closed(self)

    def pause_writing(self) -> None:
        """Learn that the stream has enough to send."""
        self._paused = True

    def resume_writing(self) -> None:
        """Learn that it has room."""
        self._paused = False
        self._flush()

    # Moving things.

    def _schedule_flush(self) -> None:
        if not self._flush_due and not self._paused and not self._closing:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Tell handlers what is new and write what they answer, a bounded amount a turn."""
        self._flush_due = True  # what handlers send below needs no turn of its own
        try:
            self._dispatch()
            if not self._paused and not self._closing and self.mux.wants_to_send:
                self._write(self.mux.data_to_send(HIGH_WATER))
                self._dispatch()
        finally:
            self._flush_due = False
        if self.mux.wants_to_send:
            self._schedule_flush()

    def hold(self) -> bool:
        """Gather what is sent until `release`; False where it will be written soon anyway."""
        if self._flush_due or self._paused or self._closing:
            return False
        self._flush_due = True
        return True

    def release(self) -> None:
        """Write what was sent since `hold`: at once, or with others at the end of the turn.

        At once if the peer has nothing from us that it could be answering: whoever asks
        for one thing after another sends nothing meanwhile that could share a packet.
        """
        if self._idle:
            self._flush()
            return
        self._flush_due = False
        if self.mux.wants_to_send:
            self._schedule_flush()

    def _end_channels(self, reason: str) -> None:
        for channel in self.mux.channels:
            told = channel.state is not State.CLOSING
            channel.close(reason)
            if told and channel.handler is not None:
                channel.handler.channel_closed(channel, reason)

    def _write(self, chunks: list[bytes]) -> None:
        self._idle = False
        try:
            self.stream.write_now(chunks)
        except NetError as error:
            self._fail(_blameless(error))

    def _dispatch(self) -> None:
        next_event = self.mux.next_event
        while not self._lost and (event := next_event()) is not None:
            try:
                if isinstance(event, ChannelMessage):  # by far the most
                    channel = event.channel
                    if channel.handler is not None and channel.is_open:
                        channel.handler.message_received(channel, event.data, event.urgent)
                else:
                    self._handle(event)
            except PeerError as error:
                self._fail(error)

    def _handle(self, event: Event) -> None:
        match event:
            case ChannelRequested(discovery_key, protocol):
                if self._requested is None:
                    self.mux.reject(discovery_key, protocol, "not served")
                else:
                    self._requested(self, discovery_key, protocol)
            case PeerReady():
                self.features = event.features
                if not self._ready.done():
                    self._ready.set_result(None)
            case PeerSilent():
                self._on_silent(self)
            case PeerLeft(reason):
                self.close(reason)
            case RequestWithdrawn():
                pass  # an answer that comes too late finds no request
            case ChannelClosed(channel, reason):
                if channel.handler is not None:
                    channel.handler.channel_closed(channel, reason)
            case ChannelDrained(channel):
                if channel.handler is not None and channel.is_open:
                    channel.handler.channel_drained(channel)
            case ChannelOpened(channel):
                if channel.handler is not None and channel.is_open:
                    channel.handler.channel_opened(channel)

    def _on_timeout(self) -> None:
        now = self._loop.time()
        try:
            self.mux.handle_timeout(now)
        except NetError as error:
            self._fail(error)
        else:
            self._timer = self._loop.call_at(self.mux.next_timeout(), self._on_timeout)
            self._dispatch()

    def _fail(self, error: NetError) -> None:
        """End the connection on account of what the peer did or did not do."""
        if self.error is None and not self._closing:
            self.error = error
            code = error.code if isinstance(error, PeerError) else "gone"
            self._close(code, linger=False)  # whoever breaks the rules is not waited for


def _blameless(error: NetError) -> NetError:
    """Return what a stream has ended with as nobody's fault.

    Bytes that are not authentic may be those of anybody on the way.
    """
    if isinstance(error, PeerError):
        return ClosedError(f"the connection was spoilt: {error}")
    return error
