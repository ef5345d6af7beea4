"""What the long fuzzing runs do with decoders, for a moment: `make fuzz` goes on."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import Decoders, targets

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_understood_is_understood(name: str) -> None:
    for data in TARGETS[name].understood:
        TARGETS[name].take(data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    """Made up, or understood ones with some of them changed and the end cut off."""
    target = TARGETS[name]
    made_up: bool = data.draw(st.booleans())
    if made_up or not target.understood:
        changed = bytearray(data.draw(st.binary(max_size=300)))
    else:
        changed = bytearray(data.draw(st.sampled_from(target.understood)))
        places = st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255))
        for place, byte in data.draw(st.lists(places, max_size=4)):
            changed[place] = byte
        del changed[data.draw(st.integers(1, len(changed))) :]
    with contextlib.suppress(*target.errors):
        target.take(bytes(changed))


def test_what_goes_too_deep() -> None:
    decoders = Decoders()
    for seed in decoders.seeds():
        decoders.run(seed)
