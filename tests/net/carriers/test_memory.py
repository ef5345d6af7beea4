from __future__ import annotations

import asyncio

from net.carriers import memory_pair
from tests.reference.receivers import Recording


async def test_bytes_come_in_pieces_of_the_chosen_size() -> None:
    left, right = memory_pair(chunk=3)
    seen = Recording()
    left.start(Recording())
    right.start(seen)
    left.write(b"12345678")
    await seen.size(8)
    assert seen.pieces == [b"123", b"456", b"78"]


async def test_a_receiver_is_never_called_from_inside_its_own_write() -> None:
    left, right = memory_pair()

    class Echo(Recording):
        writing = False

        def data_received(self, data: bytes | bytearray | memoryview) -> None:
            assert not self.writing
            super().data_received(data)

    seen = Echo()
    left.start(seen)
    right.start(Recording())
    seen.writing = True
    left.write(b"to the other end")
    right.write(b"to this end")
    seen.writing = False
    await seen.size(11)


async def test_bytes_for_an_end_that_is_gone_are_dropped() -> None:
    left, right = memory_pair()
    seen = Recording()
    left.start(seen)
    right.start(Recording())
    right.abort()
    await seen.call("lost")
    left.write(b"x")
    right.write(b"x")
    await asyncio.sleep(0)
    assert seen.received == b""
    assert isinstance(seen.error, ConnectionResetError)
