"""What the end of an operation means to whoever waits for it: a number, an answer, or an error.

Invariant: an operation that came to nothing raises an error that names every reason.
Must not know how operations run.
"""

from __future__ import annotations

from net.dht.codes import OVERTAKEN, REASONS, Code
from net.dht.events import Answered, Event, Finished
from net.errors import DeadlineError, NetError, NotFound, RefusedError


def holders(finished: Finished, what: str = "announcement") -> int:
    """Return how many nodes hold a record; raises `RefusedError` when all refuse it."""
    if finished.stored or not finished.refusals:
        return finished.stored
    raise RefusedError(f"no DHT node holds the {what}: {_reasons(finished)}")


def value_holders(finished: Finished) -> int:
    """Return how many nodes hold a value; raises `RefusedError` also when one holds another."""
    if finished.obstacle or OVERTAKEN & dict(finished.refusals).keys():
        reason = finished.obstacle or f"another is held: {_reasons(finished)}"
        raise RefusedError(f"the value was not put: {reason}")
    return holders(finished, "value")


def answer(event: Event) -> bytes:
    """Return the answer to an introduction; raises a `NetError` that says why there is none."""
    if isinstance(event, Answered):
        return event.answer
    assert isinstance(event, Finished), "an introduction has two ends"
    raise _unanswered(event)


def _reasons(finished: Finished) -> str:
    return "; ".join(f"{count} x {REASONS[code]}" for code, count in finished.refusals)


def _unanswered(finished: Finished) -> NetError:
    reasons = dict(finished.refusals)
    others = {code: count for code, count in reasons.items() if code is not Code.NO_ANNOUNCER}
    if finished.silent:
        return DeadlineError(f"the peer, or each of {finished.silent} DHT nodes, is silent")
    if others:
        said = "; ".join(f"{count} x {REASONS[code]}" for code, count in others.items())
        return RefusedError(f"no DHT node passed the message on: {said}")
    tried = [f"{finished.answers} DHT nodes"]
    return NotFound("no announcement of a peer that takes introductions", tried)
