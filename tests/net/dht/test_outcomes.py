"""What the end of an operation means: numbers, and errors that name every reason."""

from __future__ import annotations

import pytest

from net.dht.codes import REASONS, Code
from net.dht.events import Answered, Finished
from net.dht.outcomes import answer, holders, value_holders
from net.errors import DeadlineError, NetError, NotFound, RefusedError

FULL, STALE = (Code.FULL, 3), (Code.STALE, 1)


def test_some_holders_are_a_success_and_so_is_nobody_to_ask() -> None:
    assert holders(Finished(1, 8, stored=5, refusals=(FULL,))) == 5
    assert holders(Finished(1, 0)) == 0
    assert value_holders(Finished(1, 8, stored=5, refusals=(FULL,))) == 5


def test_refusals_of_all_are_named_with_their_numbers() -> None:
    with pytest.raises(RefusedError) as caught:
        holders(Finished(1, 4, refusals=(FULL, STALE)))
    assert str(caught.value) == (
        f"no DHT node holds the announcement: 3 x {REASONS[Code.FULL]}; 1 x {REASONS[Code.STALE]}"
    )
    with pytest.raises(RefusedError, match=r"no DHT node holds the value: 3 x no room"):
        value_holders(Finished(1, 4, refusals=(FULL,)))


def test_a_value_that_was_overtaken_is_refused_though_some_hold_it() -> None:
    with pytest.raises(RefusedError, match=r"another is held: 1 x a record with a higher"):
        value_holders(Finished(1, 8, stored=7, refusals=(STALE,)))
    with pytest.raises(RefusedError, match=r"not put: seq 7 is held"):
        value_holders(Finished(1, 8, stored=7, obstacle="seq 7 is held"))


@pytest.mark.parametrize(
    ("end", "error", "says"),
    [
        (Finished(1, 8), NotFound, "no announcement of a peer that takes introductions"),
        (Finished(1, 8, refusals=((Code.NO_ANNOUNCER, 8),)), NotFound, "8 DHT nodes"),
        (Finished(1, 8, silent=2, refusals=(FULL,)), DeadlineError, "each of 2 DHT nodes"),
        (
            Finished(1, 8, refusals=((Code.BUSY, 2), (Code.NO_ANNOUNCER, 6))),
            RefusedError,
            "passed the message on: 2 x too many requests at this time$",
        ),
    ],
)
def test_without_an_answer_the_error_says_why(
    end: Finished, error: type[NetError], says: str
) -> None:
    with pytest.raises(error, match=says):
        answer(end)


def test_an_answer_is_handed_on() -> None:
    assert answer(Answered(1, b"at noon")) == b"at noon"
