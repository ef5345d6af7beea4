from __future__ import annotations

from net.channels.channel import Channel, State
from net.channels.schedule import Schedule
from net.channels.window import Budget, ReceiveWindow


class Nobody:
    def wake(self, channel: Channel) -> None: ...
    def replenish(self, channel: Channel) -> None: ...
    def close(self, channel: Channel, reason: str = "") -> None: ...


def channel(number: int, credit: int = 1 << 20) -> Channel:
    made = Channel(Nobody(), bytes(32), (bytes(32), "p"), ReceiveWindow(Budget(), 0.0))
    made.number = number
    made.become(State.OPEN)
    made.grant(credit)
    return made


def order(schedule: Schedule) -> list[tuple[int, bool]]:
    turns = []
    while (turn := schedule.next()) is not None:
        who, urgent = turn
        who.take(urgent=urgent)
        schedule.add(who)
        turns.append((who.number, urgent))
    return turns


def test_channels_take_turns_and_urgent_ones_go_first() -> None:
    schedule, first, second = Schedule(), channel(1), channel(2)
    first.send(bytes(200_000))
    second.send(bytes(200_000))
    second.send(b"now", urgent=True)
    for who in (first, second):
        schedule.add(who)
    assert order(schedule) == [(2, True)] + [(1, False), (2, False)] * 4
    assert not schedule


def test_a_channel_without_credit_leaves_the_line() -> None:
    schedule, rich, poor = Schedule(), channel(1), channel(2, credit=0)
    for who in (rich, poor):
        who.send(b"x")
        schedule.add(who)
    assert order(schedule) == [(1, False)]
    poor.grant(1 << 16)
    schedule.add(poor)
    schedule.add(poor)
    assert order(schedule) == [(2, False)]


def test_a_channel_closed_while_in_line_is_passed_over() -> None:
    schedule, who = Schedule(), channel(1)
    who.send(b"x")
    schedule.add(who)
    who.become(State.CLOSING)
    assert schedule.next() is None
