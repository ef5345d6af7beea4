"""The window before a sequential reader: how far it reaches and when it slides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from net.replicate import read_ahead
from net.replicate.read_ahead import ReadAhead
from tests.reference.world import Host, World


@pytest.fixture
def reader(
    world: World, writer: Host, replica: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> Host:
    monkeypatch.setattr(read_ahead, "READ_AHEAD_BLOCKS", 10)
    host = replica(writer.feed)
    world.connect(writer, host)
    world.run()
    return host


def test_a_window_ahead_and_no_further(reader: Host) -> None:
    ahead = ReadAhead(reader.core)
    assert ahead.move(20, 100)
    assert list(reader.core.wants.ahead) == [(20, 30)]
    assert not ahead.move(25, 100)
    assert ahead.move(26, 100)
    assert list(reader.core.wants.ahead) == [(26, 36)]


def test_nothing_past_the_end(reader: Host) -> None:
    ahead = ReadAhead(reader.core)
    assert ahead.move(20, 23)
    assert list(reader.core.wants.ahead) == [(20, 23)]
    assert not ahead.move(22, 23)


def test_it_moves_on_when_all_has_come(world: World, reader: Host) -> None:
    ahead = ReadAhead(reader.core)
    ahead.move(0, 100)
    reader.settle()
    world.run()
    assert reader.feed.have == [range(10)]
    assert ahead.move(1, 100)
    assert list(reader.core.wants.ahead) == [(10, 11)]


def test_a_jump_leaves_the_old_window(reader: Host) -> None:
    ahead = ReadAhead(reader.core)
    ahead.move(50, 100)
    assert ahead.move(5, 100)
    assert list(reader.core.wants.ahead) == [(5, 15)]
    ahead.close()
    ahead.close()
    assert not reader.core.wants
