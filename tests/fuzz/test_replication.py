"""What the long fuzzing runs do, for a moment: `make fuzz` goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.replication import Conversations


@pytest.fixture(scope="module")
def conversations() -> Iterator[Conversations]:
    conversations = Conversations()
    yield conversations
    conversations.close()


def test_the_recording_is_understood(conversations: Conversations) -> None:
    for seed in conversations.seeds():
        conversations.run(seed)
    conversations.run(b"".join(conversations.seeds()))


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=12)), max_size=40))
def test_any_conversation(conversations: Conversations, steps: list[tuple[int, bytes]]) -> None:
    conversations.run(b"".join(bytes([step]) + rest for step, rest in steps))
