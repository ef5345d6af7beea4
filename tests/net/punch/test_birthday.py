"""Blind probing."""

from __future__ import annotations

from random import Random

import pytest

from net.punch.birthday import (
    AT_ONCE,
    HEAD_START,
    MAX_PROBES,
    RATE,
    SOCKETS,
    STEP,
    Birthday,
    Path,
    Tactic,
    tactic,
)
from net.punch.classify import NatClass

TARGET = ("9.9.9.9", 5000)


def all_of(birthday: Birthday) -> list[tuple[float, Path]]:
    sent = []
    while (when := birthday.next_timeout()) is not None:
        assert birthday.take(when - STEP / 2) == []
        sent += [(when, path) for path in birthday.take(when)]
    assert birthday.take(1e9) == []
    return sent


@pytest.mark.parametrize("kind", [Tactic.SPRAY, Tactic.MANY])
def test_the_rate_and_the_number_are_bounded(kind: Tactic) -> None:
    sent = all_of(Birthday(kind, TARGET, Random(1), 100.0))
    assert MAX_PROBES <= len(sent) < MAX_PROBES + AT_ONCE
    assert sent[0][0] == 100.0 + HEAD_START
    assert sent[-1][0] - sent[0][0] == pytest.approx(len(sent) / RATE, abs=2 * STEP)


def test_a_spray_takes_no_port_twice() -> None:
    paths = [path for _, path in all_of(Birthday(Tactic.SPRAY, TARGET, Random(1), 0.0))]
    assert len(set(paths)) == len(paths)
    assert {(path.address[0], path.socket) for path in paths} == {("9.9.9.9", 0)}
    assert all(1024 <= path.address[1] < 65536 for path in paths)


def test_many_sockets_aim_at_one_address() -> None:
    paths = [path for _, path in all_of(Birthday(Tactic.MANY, TARGET, Random(1), 0.0))]
    assert {path.address for path in paths} == {TARGET}
    assert {path.socket for path in paths} == set(range(1, SOCKETS + 1))


def test_time_slept_through_is_not_made_up_for() -> None:
    birthday = Birthday(Tactic.SPRAY, TARGET, Random(1), 0.0)
    assert len(birthday.take(1000.0)) == AT_ONCE
    assert birthday.take(1000.0) == []


def test_tactics() -> None:
    fixed = [NatClass.OPEN, NatClass.CONSISTENT, NatClass.UNKNOWN]
    assert {tactic(a, b) for a in fixed for b in fixed} == {Tactic.DIRECT}
    assert {tactic(a, NatClass.RANDOM) for a in fixed} == {Tactic.SPRAY}
    assert {tactic(NatClass.RANDOM, b) for b in fixed} == {Tactic.MANY}
    assert tactic(NatClass.RANDOM, NatClass.RANDOM) is Tactic.DIRECT
