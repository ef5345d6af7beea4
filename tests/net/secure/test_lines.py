"""The lines of a stream: what is written and read on which, before, while and after it moves."""

from __future__ import annotations

import pytest

from net.secure.lines import Lines, Surrendered
from tests.reference.lines import line_pair
from tests.reference.relays import until


class Onto:
    """A stream that could be gone on over, and is not."""

    def surrender(self) -> Surrendered:
        raise AssertionError

    def is_closing(self) -> bool:
        return False


async def test_it_writes_on_the_new_line_and_reads_the_old_one_to_its_end() -> None:
    old, owner, old_end, other = await line_pair()
    new, _, new_end, _ = await line_pair()
    lines = Lines(old)
    assert old in lines
    assert not lines.moving

    lines.go_on(Surrendered(new, b"early", ended=False, paused=False), owner)
    assert (lines.written, lines.read, lines.moving) == (new, old, True)
    assert new in lines
    await other.told("moved")
    old_end.writer.seal(b"over the old line")
    new_end.writer.seal(b"over the new one")
    assert await owner.told("received") == b"over the old line"
    old_end.writer.leave()
    assert await owner.told("moved") is old
    assert owner.all("received") == [b"over the old line"], "the new line is held"

    taken = lines.switch()
    assert (taken.line, taken.early) == (new, b"early")
    assert (lines.written, lines.read) == (new, new)
    assert old not in lines
    taken.line.release()
    taken.line.carrier.resume_reading()
    await until(lambda: owner.all("received")[-1] == b"over the new one")
    assert lines.left == {old}, "it is closed when the other end has all of it"
    old_end.carrier.close()
    await until(lambda: not lines.moving)
    lines.drop()
    new_end.drop()


async def test_what_is_expected_can_be_forgotten() -> None:
    lines = Lines((await line_pair())[0])
    one, other = Onto(), Onto()
    lines.expect(one)
    assert lines.moving
    lines.forget(other)
    assert lines.take_expected() is one
    lines.expect(other)
    lines.forget(other)
    assert lines.take_expected() is None
    lines.drop()


async def test_a_stream_switches_only_to_what_it_writes_on() -> None:
    lines = Lines((await line_pair())[0])
    with pytest.raises(AssertionError, match="after it has gone on"):
        lines.switch()
    lines.drop()


async def test_both_lines_end_where_one_is_lost() -> None:
    old, owner, _, there = await line_pair()
    new, _, _, elsewhere = await line_pair()
    lines = Lines(old)
    lines.go_on(Surrendered(new, b"", ended=False, paused=False), owner)
    lines.drop()
    for other in (there, elsewhere):
        await other.told("lost")
