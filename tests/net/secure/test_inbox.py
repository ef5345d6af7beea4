from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.secure.inbox import Inbox


@given(st.lists(st.binary(min_size=1, max_size=9)), st.lists(st.integers(1, 12)))
def test_bytes_leave_as_they_came(pieces: list[bytes], sizes: list[int]) -> None:
    inbox, whole = Inbox(), b"".join(pieces)
    for piece in pieces:
        inbox.put(piece)
    taken = b""
    for size in sizes:
        part = inbox.take(size)
        assert len(part) == min(size, len(whole) - len(taken))
        taken += part
        assert inbox.size == len(whole) - len(taken)
        assert bool(inbox) == (inbox.size > 0)
    assert whole.startswith(taken)


def test_a_piece_that_is_taken_whole_is_not_copied() -> None:
    inbox, piece = Inbox(), b"x" * 100
    inbox.put(piece)
    assert inbox.take(200) is piece
    inbox.put(piece)
    inbox.clear()
    assert not inbox
    assert inbox.take(1) == b""
