"""One side of one hole punch: datagrams and `now` in, datagrams and events out.

Both sides know each other's offer and send at once, so that each router sees its own side ask
first and lets the other's datagrams in as answers.

    initiator                                responder
    PROBING    probe ->            <- probe  PROBING      to every address there is
               echo  ->            <- echo                its token has come back: a way
    SELECTING  select ->                                  the first way, or one on the same LAN
                              <- selected    CONNECTED
    CONNECTED  probe ->             <- echo  CONNECTED    keep-alive

A token is given to one address only. Who receives it back *from that address* knows that the
peer is there; an answer from another address, because a router changed the port, is not
believed but probed. Nothing but these 42 bytes is sent to an address before it has answered so.

    receive_datagram(data, address, now, socket)   datagrams_to_send(now)   next_event()
    next_timeout()                                 handle_timeout(now)

Invariant: nothing that arrives raises, and each datagram that arrives draws at most one.
Must not know sockets, clocks, or how the offers were exchanged.
Specified in docs/spec/punch.md, sections 5 to 7.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import NamedTuple

from feedlog.errors import DecodeError
from net.addresses import Address, canonical, pack_address, reach
from net.punch.birthday import Birthday, Path, Tactic, tactic
from net.punch.classify import NatClass
from net.punch.hashing import PunchKeys, path_token
from net.punch.messages import (
    NO_TOKEN,
    Kind,
    Message,
    Offer,
    open_datagram,
    seal_datagram,
)

PUNCH_TIME = 12.0
"""Seconds until a punch has failed: all blind probes and a second for their answers."""

FIRST_INTERVAL = 0.05
LAST_INTERVAL = 0.5
"""Seconds between two rounds of probes: each round is half as long again as the last."""

LAN_GRACE = 0.05
"""Seconds that the other side of our own router may take longer than the way around it."""

SELECT_INTERVAL = 0.1
MAX_SELECTS = 15
"""Attempts to agree on a way before another one is looked for."""

KEEPALIVE = 4.5
"""Seconds at most between two probes of an agreed way. Most routers forget after 30, some after
5; and a flow that a RANDOM router has forgotten gets another port, which nobody can guess."""
SETTLING = 2.0
"""Seconds in which late answers on other ways do not replace the one that was agreed on."""
RETRY = 1.0
MAX_UNANSWERED = 8
"""Keep-alives, a second apart, after which the way is lost."""

MAX_PATHS = 32
"""Addresses of the peer that are remembered; real ones have a handful."""
MAX_OUTBOX = 512
"""Datagrams waiting to be sent; above the largest burst of our own, so only a flood fills it."""


class State(Enum):
    """Where a punch stands."""

    PROBING = "probing"
    SELECTING = "selecting"
    CONNECTED = "connected"
    FAILED = "failed"
    CLOSED = "closed"


TRANSITIONS: dict[State, set[State]] = {
    State.PROBING: {State.SELECTING, State.CONNECTED, State.FAILED, State.CLOSED},
    State.SELECTING: {State.PROBING, State.CONNECTED, State.FAILED, State.CLOSED},
    State.CONNECTED: {State.FAILED, State.CLOSED},
    State.FAILED: {State.CLOSED},
    State.CLOSED: set(),
}
"""Legal successors."""


class Reason(Enum):
    """Why a punch has failed."""

    BOTH_RANDOM = "both NATs give each destination another port"
    NO_ADDRESS = "the peer has no address that we can send to"
    SILENT = "nothing arrived from the peer"
    ONE_WAY = "the peer's datagrams arrive here, but ours do not arrive there"
    LOST = "the way was good and went silent"


class Transmit(NamedTuple):
    """A datagram to send from one of our sockets."""

    data: bytes
    address: Address
    socket: int = 0


@dataclass(frozen=True, slots=True)
class Punched:
    """The two sides have agreed on a way."""

    path: Path


@dataclass(frozen=True, slots=True)
class Moved:
    """The peer is now reached another way: a router has changed its mind."""

    path: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no way, or none any more. The last event."""

    reason: Reason


Event = Punched | Moved | Failed


def candidates(mine: Offer, theirs: Offer) -> list[Path]:
    """Return the addresses of an offer that are worth a probe.

    Private ones only when the peer seems to be behind our own router, or when one side does not
    know how it is seen (a network without a way out): elsewhere they name a machine on our own
    LAN that the peer has no business to have us probe.
    """
    addresses = [theirs.public] if theirs.public is not None else []
    ours, public = mine.public, theirs.public
    together = ours is None or public is None or ours[0] == public[0]
    alone = ours is None or reach(ours[0]) == 0
    for address in theirs.local:
        far = reach(address[0])
        if far == 2 or (far == 1 and together) or (far == 0 and together and alone):
            addresses.append(address)
    return [Path(address) for address in dict.fromkeys(addresses)]


class Puncher:
    """One punch. `secret` is 32 random bytes of this side, used for nothing else."""

    def __init__(
        self,
        keys: PunchKeys,
        mine: Offer,
        theirs: Offer,
        *,
        initiator: bool,
        rng: Random,
        secret: bytes,
        now: float,
    ) -> None:
        self.state = State.PROBING
        self.initiator = initiator
        self.path: Path | None = None
        self.counters: Counter[str] = Counter()
        self._keys = keys
        self._rng = rng
        self._secret = secret
        self._local = {Path(address) for address in theirs.local}
        self._candidates = candidates(mine, theirs)
        self._birthday: Birthday | None = None
        kind = tactic(mine.nat, theirs.nat)
        if kind is not Tactic.DIRECT and theirs.public is not None:
            self._birthday = Birthday(kind, theirs.public, rng, now)
        self._peer_tokens: dict[Path, bytes] = {}
        self._ways: list[Path] = []
        self._outbox: list[Transmit] = []
        self._events: deque[Event] = deque()
        self._deadline = now + PUNCH_TIME
        self._probe_at = now
        self._interval = FIRST_INTERVAL
        self._choose_at: float | None = None
        self._select_at = now
        self._selects = 0
        self._keep_at = self._settled = now
        self._unanswered = 0
        hopeless = mine.nat is theirs.nat is NatClass.RANDOM
        if hopeless and not self._local & set(self._candidates):
            self._fail(Reason.BOTH_RANDOM)
        elif not self._candidates:
            self._fail(Reason.NO_ADDRESS)

    # -- the five verbs ---------------------------------------------------------------

    def receive_datagram(self, data: bytes, address: Address, now: float, socket: int = 0) -> None:
        """Take a datagram that came from an address to one of our sockets."""
        if self._over:
            return
        try:
            message = open_datagram(self._keys, data)
            path = Path(canonical(address), socket)
        except (DecodeError, ValueError):
            self.counters["malformed"] += 1
            return
        self.counters["received"] += 1
        self._remember(path, message.token)
        proven = message.echo == self._token(path)
        moved = self.state is State.CONNECTED and path != self.path
        if message.kind is Kind.PROBE and (proven or not moved):
            self._send(Kind.ECHO, path)
        elif not proven:
            self._send(Kind.PROBE, path)  # an answer to what was sent elsewhere: a changed port;
            # or a keep-alive of a peer whose router has given it another one meanwhile
        elif message.kind is Kind.ECHO and not self.initiator and self.state is State.PROBING:
            self._send(Kind.ECHO, path)  # so that the initiator has its proof too
        if not proven:
            return
        if message.kind is Kind.SELECT and not self.initiator:
            self._send(Kind.SELECTED, path)
            self._agree(path, now)
        elif message.kind is Kind.SELECTED and self.state is State.SELECTING and path == self.path:
            self._agree(path, now)
        else:
            self._proven(path, now)

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        """Return the datagrams to send, oldest first, and forget them."""
        self.handle_timeout(now)
        outbox, self._outbox = self._outbox, []
        self.counters["sent"] += len(outbox)
        return outbox

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` wants to be called at the latest; None when it is over."""
        if self._over:
            return None
        if self.state is State.CONNECTED:
            return self._keep_at
        times = [self._deadline, self._probe_at]
        if self._choose_at is not None:
            times.append(self._choose_at)
        if self.state is State.SELECTING:
            times.append(self._select_at)
        if self._birthday is not None and not self._ways:
            blind = self._birthday.next_timeout()
            times += [] if blind is None else [blind]
        return min(times)

    def handle_timeout(self, now: float) -> None:
        """Do what is due by `now`."""
        if self._over:
            return
        if self.state is State.CONNECTED:
            if now >= self._keep_at:
                self._keep_alive(now)
        elif now >= self._deadline:
            self._fail(Reason.ONE_WAY if self.counters["received"] else Reason.SILENT)
        else:
            self._search(now)

    def next_event(self) -> Event | None:
        """Return the oldest event that has not been returned."""
        return self._events.popleft() if self._events else None

    # -- and the end ------------------------------------------------------------------

    def close(self) -> None:
        """Stop: nothing is sent, and nothing that arrives counts."""
        self._become(State.CLOSED)
        self._outbox.clear()

    @property
    def tried(self) -> Sequence[str]:
        """What was done so far, for the error that tells of it."""
        done = [f"{len(self._candidates)} addresses of the offer"]
        if self._birthday is not None:
            done.append(f"{self._birthday.sent} blind probes")
        return [*done, f"{self.counters['received']} datagrams arrived"]

    # -- looking for a way ------------------------------------------------------------

    @property
    def _over(self) -> bool:
        return self.state in {State.FAILED, State.CLOSED}

    def _search(self, now: float) -> None:
        if now >= self._probe_at:
            self._probe_at = now + self._interval
            self._interval = min(LAST_INTERVAL, 1.5 * self._interval)
            for path in dict.fromkeys([*self._candidates, *self._peer_tokens]):
                if path not in self._ways:
                    self._send(Kind.PROBE, path)
        if self._birthday is not None and not self._ways:
            for path in self._birthday.take(now):
                self._send(Kind.PROBE, path)
        if self.state is State.SELECTING and now >= self._select_at:
            self._select(now)
        if self._choose_at is not None and now >= self._choose_at:
            self._choose(now)

    def _proven(self, path: Path, now: float) -> None:
        if self.state is State.CONNECTED:
            if path == self.path:
                self._answered(now)
            elif self._unanswered or now >= self._settled:
                self.path = path
                self._answered(now)
                self._events.append(Moved(path))
            return
        if path not in self._ways:
            self._ways.append(path)
        if not self.initiator or self.state is not State.PROBING:
            return
        if path in self._local or not self._local & set(self._candidates):
            self._choose(now)
        elif self._choose_at is None:
            self._choose_at = now + LAN_GRACE

    def _choose(self, now: float) -> None:
        """Propose the best way that there is: one on the same LAN, else the first."""
        self._choose_at = None
        if self._ways:
            self.path = next((path for path in self._ways if path in self._local), self._ways[0])
            self._become(State.SELECTING)
            self._selects = 0
            self._select(now)

    def _select(self, now: float) -> None:
        assert self.path is not None, "a way was chosen"
        if self._selects >= MAX_SELECTS:
            self._ways.remove(self.path)
            self.path = None
            self._become(State.PROBING)
            self._choose_at = now
            return
        self._selects += 1
        self._select_at = now + SELECT_INTERVAL
        self._send(Kind.SELECT, self.path)

    def _agree(self, path: Path, now: float) -> None:
        if self.state is State.CONNECTED:
            if path != self.path:
                self.path = path
                self._events.append(Moved(path))
            self._answered(now)
            return
        self.path = path
        self._become(State.CONNECTED)
        self._settled = now + SETTLING
        self._answered(now)
        self._events.append(Punched(path))

    # -- keeping it -------------------------------------------------------------------

    def _answered(self, now: float) -> None:
        self._unanswered = 0
        self._keep_at = now + KEEPALIVE * self._rng.uniform(0.8, 1.0)

    def _keep_alive(self, now: float) -> None:
        assert self.path is not None, "a way was agreed on"
        if self._unanswered >= MAX_UNANSWERED:
            self._fail(Reason.LOST)
            return
        self._send(Kind.PROBE, self.path)
        if self._unanswered > 1:  # perhaps a router forgot: then another address is the peer's
            for path in dict.fromkeys([*self._candidates, *self._peer_tokens]):
                if path != self.path:
                    self._send(Kind.PROBE, path)
        self._unanswered += 1
        self._keep_at = now + RETRY

    # -- the rest ---------------------------------------------------------------------

    def _become(self, state: State) -> None:
        assert state in TRANSITIONS[self.state] or state is self.state, (self.state, state)
        self.state = state

    def _fail(self, reason: Reason) -> None:
        self._become(State.FAILED)
        self._outbox.clear()
        self._events.append(Failed(reason))

    def _remember(self, path: Path, token: bytes) -> None:
        if path not in self._peer_tokens and len(self._peer_tokens) >= MAX_PATHS:
            for old in self._peer_tokens:
                if old != self.path and old not in self._ways:
                    del self._peer_tokens[old]
                    break
            else:
                return
        self._peer_tokens[path] = token

    def _token(self, path: Path) -> bytes:
        return path_token(self._secret, path.socket, pack_address(path.address))

    def _send(self, kind: Kind, path: Path) -> None:
        if len(self._outbox) >= MAX_OUTBOX:
            self.counters["outbox full"] += 1
            return
        message = Message(kind, self._token(path), self._peer_tokens.get(path, NO_TOKEN))
        data = seal_datagram(self._keys, message)
        self._outbox.append(Transmit(data, path.address, path.socket))
