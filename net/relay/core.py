"""What a relay decides: who waits, who wants whom, which streams become a circuit. No I/O.

    opened(stream, key)  receive(stream, message, now)  lost(stream, now)
    next_timeout()       handle_timeout(now)            next_action() -> Action | None

    stream's state   message                         next
    NEW, TALKING     Reserve                         RESERVED, or refused
    NEW              Connect(key)                    ASKING, or refused; Incoming to the key
    NEW              Accept(token)                   JOINED with the stream that asks
    NEW, TALKING     Ping, Pong, Request             TALKING
    RESERVED         Ping, Pong, Request             RESERVED
    RESERVED         Decline(token)                  RESERVED; the stream that asks is refused

A stream's key is proven by its handshake, so nobody reserves, accepts or is charged for
another's key. A token is known to the reserving peer only, serves once, and only to the
key that it was made for.

Invariant: what is remembered is bounded by `RelayLimits` and the number of streams, and a
stream that does not say what it wants is dropped after `DECISION` seconds.
Must not know bytes of circuits, sockets, clocks or the DHT.
Specified in docs/spec/relay.md, section 4.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from net.errors import ProtocolError
from net.relay.limits import RelayLimits
from net.relay.messages import (
    TOKEN_SIZE,
    Accept,
    Code,
    Connect,
    Decline,
    Done,
    Incoming,
    Limits,
    Message,
    Ping,
    Pong,
    Ready,
    Refused,
    Request,
    Reserve,
    Reserved,
)

DECISION = 10.0
"""Seconds in which a stream must say what it wants."""
ANSWER = 10.0
"""Seconds in which a reserving peer must accept: it makes a new stream for that."""
SILENCE = 60.0
"""Seconds after which a stream without a circuit that says nothing is dropped."""

MAX_STREAMS = 1024
"""Streams of clients, whatever they do: what the node's own limit leaves room for."""


class State(enum.Enum):
    """What a stream is for."""

    NEW = "new"
    TALKING = "talking"
    RESERVED = "reserved"
    ASKING = "asking"
    JOINED = "joined"


@dataclass(slots=True)
class Client:
    """One stream of a client."""

    number: int
    public_key: bytes
    heard: float
    state: State = State.NEW
    wanted: bytes = b""
    """Whose circuit it asks for."""
    token: bytes = b""
    partner: int = -1
    requests: set[int] = field(default_factory=set)

    @property
    def deadline(self) -> float:
        """When it is given up, unless something is heard."""
        match self.state:
            case State.NEW:
                return self.heard + DECISION
            case State.ASKING:
                return self.heard + ANSWER
            case State.JOINED:
                return float("inf")
            case _:
                return self.heard + SILENCE


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a stream; close the stream behind it if `last`."""

    stream: int
    message: Message
    last: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """Pass on the bytes of two streams to each other from now on."""

    asking: int
    accepting: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ask:
    """A client has a question to the DHT; answer with `answered`."""

    stream: int
    request: Request


@dataclass(frozen=True, slots=True)
class Drop:
    """End a stream at once."""

    stream: int


Action = Send | Join | Ask | Drop


class RelayCore:
    """The memory of one relay. `random_bytes` makes tokens."""

    def __init__(self, limits: RelayLimits, random_bytes: Callable[[int], bytes]) -> None:
        self.limits = limits
        self._random_bytes = random_bytes
        self._clients: dict[int, Client] = {}
        self._reserved: dict[bytes, int] = {}
        self._tokens: dict[bytes, int] = {}
        self._actions: deque[Action] = deque()

    # What is told.

    def opened(self, stream: int, public_key: bytes, now: float) -> bool:
        """Take a stream of the owner of that key; tells whether there is room for it."""
        if len(self._clients) >= MAX_STREAMS:
            return False
        self._clients[stream] = Client(stream, public_key, now)
        return True

    def receive(self, stream: int, message: Message, now: float) -> None:
        """Take a message; raises `PeerError` for one that is out of place."""
        client = self._clients.get(stream)
        if client is None:
            return
        client.heard = now
        match client.state, message:
            case ((State.NEW | State.TALKING), Reserve()):
                self._reserve(client)
            case State.NEW, Connect(public_key):
                self._connect(client, public_key)
            case State.NEW, Accept(token):
                self._accept(client, token)
            case State.RESERVED, Decline(token):
                self._decline(client, token)
            case ((State.NEW | State.TALKING | State.RESERVED), Ping() | Pong() | Request()):
                self._talk(client, message)
            case _:
                name = type(message).__name__
                raise ProtocolError(f"{name} on a stream that is {client.state.value}")

    def lost(self, stream: int) -> None:
        """Forget a stream that is gone, and drop what depends on it."""
        client = self._clients.pop(stream, None)
        if client is None:
            return
        if client.token:
            self._tokens.pop(client.token, None)
        if client.partner in self._clients:
            self._clients[client.partner].partner = -1
        if self._reserved.get(client.public_key) == stream:
            del self._reserved[client.public_key]
            for asking in [c for c in self._clients.values() if c.wanted == client.public_key]:
                if asking.state is State.ASKING:
                    self._refuse(asking, Code.NO_RESERVATION, "the peer has just left")

    def answered(self, stream: int, number: int) -> None:
        """Learn that a question of a client is answered in full."""
        client = self._clients.get(stream)
        if client is not None:
            client.requests.discard(number)

    # What is asked.

    def waits(self, stream: int) -> bool:
        """Tell whether a stream waits for the other end of its circuit."""
        client = self._clients.get(stream)
        return client is not None and client.state is State.ASKING

    def next_action(self) -> Action | None:
        """Return the oldest action not yet taken."""
        return self._actions.popleft() if self._actions else None

    def next_timeout(self) -> float:
        """Return when `handle_timeout` is due; infinity for never."""
        return min((client.deadline for client in self._clients.values()), default=float("inf"))

    def handle_timeout(self, now: float) -> None:
        """Give up streams whose time is over."""
        for client in [c for c in self._clients.values() if c.deadline <= now]:
            if client.state is State.ASKING:
                reason = f"the peer has not accepted in {ANSWER:g} s"
                self._refuse(client, Code.SILENT, reason)
            else:
                self._actions.append(Drop(client.number))
                self.lost(client.number)

    @property
    def reservations(self) -> int:
        """How many peers wait here."""
        return len(self._reserved)

    @property
    def circuits(self) -> int:
        """How many circuits stand or wait for an answer."""
        return sum(bool(client.wanted) for client in self._clients.values())

    # What is decided.

    def _reserve(self, client: Client) -> None:
        before = self._reserved.get(client.public_key)
        if before is None and len(self._reserved) >= self.limits.reservations:
            limit = self.limits.reservations
            self._refuse(client, Code.RESERVATIONS, f"all {limit} reservations are taken")
            return
        self._reserved[client.public_key] = client.number
        client.state = State.RESERVED
        if before is not None:
            # The same key on a new stream: its old one is a connection that it has lost.
            self._actions.append(Drop(before))
            self.lost(before)
        self._actions.append(Send(client.number, Reserved(self.limits.of_circuit)))

    def _connect(self, client: Client, public_key: bytes) -> None:
        limits = self.limits
        reserved = self._reserved.get(public_key)
        if reserved is None:
            self._refuse(client, Code.NO_RESERVATION, "the peer does not wait at this relay")
        elif self.circuits >= limits.circuits:
            self._refuse(client, Code.CIRCUITS, f"all {limits.circuits} circuits are taken")
        elif max(self._of_peer(client.public_key), self._of_peer(public_key)) >= (
            limits.circuits_per_peer
        ):
            reason = f"one of the peers has {limits.circuits_per_peer} circuits, the limit"
            self._refuse(client, Code.CIRCUITS_OF_PEER, reason)
        elif self._pending(public_key) >= limits.pending_per_peer:
            reason = f"{limits.pending_per_peer} others wait for the peer, the limit"
            self._refuse(client, Code.PENDING, reason)
        else:
            client.state, client.wanted = State.ASKING, public_key
            client.token = self._random_bytes(TOKEN_SIZE)
            self._tokens[client.token] = client.number
            self._actions.append(Send(reserved, Incoming(client.token, client.public_key)))

    def _asking(self, client: Client, token: bytes) -> Client | None:
        """Return the stream that waits for the owner of `client`'s key with that token."""
        asking = self._clients.get(self._tokens.get(token, -1))
        if asking is None or asking.wanted != client.public_key:
            return None
        del self._tokens[token]
        asking.token = b""
        return asking

    def _accept(self, client: Client, token: bytes) -> None:
        asking = self._asking(client, token)
        if asking is None:
            self._refuse(client, Code.NO_TOKEN, "nobody waits with that token for this key")
            return
        asking.state = client.state = State.JOINED
        asking.partner, client.partner = client.number, asking.number
        limits = self.limits.of_circuit
        self._actions.append(Send(asking.number, Ready(limits)))
        self._actions.append(Send(client.number, Ready(limits)))
        self._actions.append(Join(asking.number, client.number, limits))

    def _decline(self, client: Client, token: bytes) -> None:
        asking = self._asking(client, token)
        if asking is not None:
            self._refuse(asking, Code.DECLINED, "the peer does not want to")

    def _talk(self, client: Client, message: Ping | Pong | Request) -> None:
        if client.state is State.NEW:
            client.state = State.TALKING
        match message:
            case Ping(number):
                self._actions.append(Send(client.number, Pong(number)))
            case Request():
                self._request(client, message)

    def _request(self, client: Client, request: Request) -> None:
        limit = self.limits.requests_per_peer
        if request.number in client.requests:
            raise ProtocolError(f"request {request.number} is under way already")
        if len(client.requests) >= limit:
            reason = f"{limit} requests are under way, the limit"
            done = Done(request.number, code=Code.REQUESTS, reason=reason)
            self._actions.append(Send(client.number, done))
            return
        client.requests.add(request.number)
        self._actions.append(Ask(client.number, request))

    def _refuse(self, client: Client, code: Code, reason: str) -> None:
        self._actions.append(Send(client.number, Refused(code, reason), last=True))
        self.lost(client.number)

    def _of_peer(self, public_key: bytes) -> int:
        """Count the circuits that a key takes part in, standing or asked for."""
        return sum(
            public_key in {client.public_key, client.wanted}
            for client in self._clients.values()
            if client.wanted
        )

    def _pending(self, public_key: bytes) -> int:
        return sum(
            client.state is State.ASKING and client.wanted == public_key
            for client in self._clients.values()
        )
