"""Passing a message to somebody behind a router, and taking such messages.

    asker                 holder                  announcer
      | introduce           |                        |
      | (token, message) -> | introduced             |
      |                     | (ticket, message) ->   |   on the way that the announcement came
      |                     |            <- answer   |
      |         <- answer   |                        |

A *holder* passes on what is small, asked for with a token, and meant for somebody whose
announcement it holds and who left a ticket; it keeps nothing but who waits for the answer.
An *announcer* takes only what shows its own ticket, from the address that it gave it to, and
answers each message once: three holders may bring the same one.

Invariant: every message that passes costs its sender more bytes than it makes anybody else
send; what waits is bounded in number (`MAX_PASSING`, `MAX_REMEMBERED`) and time.
Must not know what the messages mean. Specified in docs/spec/dht.md, section 10.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from net.addresses import Address
from net.dht.codes import Code
from net.dht.limits import RateLimit
from net.dht.messages import Introduce, Introduced
from net.dht.records import Announcement
from net.dht.storage import RecordStore, Way
from net.dht.tokens import Tickets

MAX_PASSING = 512
"""Messages whose answer a holder awaits."""

MAX_PASSING_TO_ONE = 32
"""Of these to one announcer, so that a popular one does not take all."""

ASKER_RATE, ASKER_BURST = 10.0, 60.0
"""Messages of one area that a holder passes on: a node looks for some sixteen peers at a time."""

ANNOUNCER_RATE, ANNOUNCER_BURST = 50.0, 200.0
"""Messages that a holder passes on to one area, whoever sends them."""

MAX_HANDLED = 64
"""Messages that the announcer thinks about at a time."""

MAX_REMEMBERED = 1024
REMEMBER = 5.0
"""Messages of the last seconds whose answer is repeated instead of made anew."""


class Asker(NamedTuple):
    """Who waits for an answer: the address of a request and its message id."""

    address: Address
    message_id: bytes


class Passing:
    """The holder's part."""

    def __init__(self, store: RecordStore[Announcement]) -> None:
        self._store = store
        self._askers = RateLimit(ASKER_RATE, ASKER_BURST)
        self._announcers = RateLimit(ANNOUNCER_RATE, ANNOUNCER_BURST)
        self._waiting: dict[bytes, tuple[Asker, Address]] = {}
        self._to: Counter[Address] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def way(self, introduce: Introduce, asker: Asker, now: float, unix: float) -> Way | Code:
        """Return the way to the announcer that is asked for, or why not to go it."""
        if len(self._waiting) >= MAX_PASSING or not self._askers.allow(asker.address, now):
            return Code.BUSY
        way = self._store.way(introduce.topic, introduce.public_key, unix)
        if way is None:
            return Code.NO_ANNOUNCER
        if self._to[way.address] >= MAX_PASSING_TO_ONE:
            return Code.BUSY
        return way if self._announcers.allow(way.address, now) else Code.BUSY

    def passed(self, message_id: bytes, asker: Asker, way: Way) -> None:
        """Note that a message was passed on under a message id."""
        self._waiting[message_id] = asker, way.address
        self._to[way.address] += 1

    def over(self, message_id: bytes) -> Asker | None:
        """Return who waits for the end of a message that was passed on."""
        waiting = self._waiting.pop(message_id, None)
        if waiting is None:
            return None
        asker, announcer = waiting
        self._to[announcer] -= 1
        if not self._to[announcer]:
            del self._to[announcer]
        return asker


@dataclass(slots=True)
class _Message:
    number: int
    until: float
    answer: bytes | None = None
    handled: bool = False
    askers: list[Asker] = field(default_factory=list)


class Door:
    """The announcer's part. `secret` is 32 random bytes of the node."""

    def __init__(self, secret: bytes) -> None:
        self._tickets = Tickets(secret)
        self._messages: OrderedDict[tuple[bytes, bytes], _Message] = OrderedDict()
        self._thinking: dict[int, _Message] = {}
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._messages)

    def ticket(self, holder: Address) -> bytes:
        """Return the ticket that the node at an address may bring messages with."""
        return self._tickets.give(holder)

    def knows(self, introduced: Introduced, holder: Address) -> bool:
        """Tell whether a message comes from a node that we have given a ticket to."""
        return self._tickets.check(introduced.ticket, holder)

    def take(self, topic: bytes, message: bytes, asker: Asker, now: float) -> int | bytes | Code:
        """Take a message: the number of a new one, the answer to a known one, or a code.

        `Code.OK` says that the answer is being thought about: it comes with `answer`.
        """
        self._forget(now)
        known = self._messages.get((topic, message))
        if known is not None:
            if known.handled:
                return Code.OK if known.answer is None else known.answer
            if len(known.askers) < MAX_PASSING_TO_ONE and asker not in known.askers:
                known.askers.append(asker)
            return Code.OK
        if len(self._messages) >= MAX_REMEMBERED or len(self._thinking) >= MAX_HANDLED:
            return Code.BUSY
        self._numbers += 1
        made = _Message(self._numbers, now + REMEMBER, askers=[asker])
        self._messages[topic, message] = self._thinking[made.number] = made
        return made.number

    def answer(self, number: int, answer: bytes | None) -> list[Asker]:
        """Keep the answer to a message, None for silence; returns whom to send it to."""
        message = self._thinking.pop(number, None)
        if message is None:
            return []
        message.handled, message.answer = True, answer
        askers, message.askers = message.askers, []
        return askers if answer is not None else []

    def _forget(self, now: float) -> None:
        """Forget the oldest; one that is still thought about is answered all the same."""
        while self._messages:
            key, oldest = next(iter(self._messages.items()))
            if oldest.until > now:
                break
            del self._messages[key]
