"""User data against a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedlog import Feed, NotWritable, Store
from feedlog.user_data import MAX_KEY_SIZE, MAX_VALUE_SIZE

KEYS = st.sampled_from([b"", b"a", b"b", b"\0", b"\xff\xff", b"a\0", "a", "ä"])
STEPS = st.lists(
    st.tuples(st.just("set"), KEYS, st.binary(max_size=9))
    | st.tuples(st.sampled_from(["del", "pop", "get"]), KEYS, st.just(b"")),
    max_size=12,
)


def as_bytes(key: bytes | str) -> bytes:
    return key.encode() if isinstance(key, str) else key


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_is_a_mapping(feed: Feed, steps: list[tuple[str, bytes | str, bytes]]) -> None:
    data = feed.user_data
    data.clear()
    model: dict[bytes, bytes] = {}
    for what, key, value in steps:
        plain = as_bytes(key)
        if what == "set":
            data[key] = model[plain] = value
        elif what == "del" and plain not in model:
            with pytest.raises(KeyError):
                del data[key]
        elif what == "del":
            del data[key], model[plain]
        elif what == "pop":
            assert data.pop(key, None) == model.pop(plain, None)
        else:
            assert data.get(key) == model.get(plain)
            assert (key in data) == (plain in model)
        assert list(data) == sorted(model)
        assert len(data) == len(model)
    assert dict(feed.user_data) == model


def test_feeds_do_not_share_it(store: Store) -> None:
    one, other = store.feed("one"), store.feed("other")
    one.user_data["k"] = b"1"
    other.user_data["k"] = b"2"
    other.user_data.clear()
    assert dict(one.user_data) == {b"k": b"1"}


def test_it_is_kept_and_stays_here(reopen: Callable[..., Store], elsewhere: Store) -> None:
    feed = reopen().feed("log")
    feed.append(b"a")
    feed.user_data["place"] = b"7"
    copy = elsewhere.feed(key=feed.key)
    copy.apply(feed.prove([0]))
    assert dict(copy.user_data) == {}
    copy.user_data["of a replica"] = b"too"
    assert reopen().feed("log").user_data["place"] == b"7"
    data = reopen(read_only=True).feed("log").user_data
    assert data["place"] == b"7"
    with pytest.raises(NotWritable, match="read-only"):
        data["place"] = b"8"
    with pytest.raises(NotWritable, match="read-only"):
        del data["place"]


def test_it_belongs_to_the_transaction(store: Store, feed: Feed) -> None:
    def fail() -> None:
        with store.transaction():
            feed.append(b"a")
            feed.user_data["seen"] = b"1"
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert (len(feed), dict(feed.user_data)) == (0, {})


def test_sizes(feed: Feed) -> None:
    data = feed.user_data
    data["k" * MAX_KEY_SIZE] = bytes(MAX_VALUE_SIZE)
    assert len(data["k" * MAX_KEY_SIZE]) == MAX_VALUE_SIZE
    for use in (data.__getitem__, data.__delitem__):
        with pytest.raises(ValueError, match="at most 500 bytes, not 501"):
            use("k" * (MAX_KEY_SIZE + 1))
    with pytest.raises(ValueError, match=f"at most {MAX_VALUE_SIZE} bytes"):
        data["k"] = bytes(MAX_VALUE_SIZE + 1)


def test_kinds(feed: Feed) -> None:
    data: Any = feed.user_data
    data["k"] = bytearray(b"v")
    assert data["k"] == b"v"
    with pytest.raises(TypeError, match="a value of user data is bytes, not str"):
        data["k"] = "text"
    with pytest.raises(TypeError, match="a key of user data is bytes or str, not int"):
        data[7] = b""
