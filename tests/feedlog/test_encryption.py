"""Encrypted feeds: read with the key, held and proven without it, moved nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import CorruptError, Feed, Store, check_proof
from feedlog.encryption import OVERHEAD, BlockCipher

SECRET = b"s" * 32
CIPHER = BlockCipher(b"f" * 32, SECRET)


@given(st.integers(0, 2**40), st.integers(0, 2**32 - 1), st.binary(max_size=200))
def test_there_and_back(index: int, fork: int, block: bytes) -> None:
    envelope = CIPHER.encrypt(index, fork, block)
    assert len(envelope) == len(block) + OVERHEAD == len(block) + 44
    assert envelope[:4] == fork.to_bytes(4, "little")
    assert CIPHER.decrypt(index, envelope) == block
    assert block not in envelope or len(block) < 4


@given(st.binary(min_size=1, max_size=50), st.data())
def test_every_bit_counts(block: bytes, data: st.DataObject) -> None:
    envelope = bytearray(CIPHER.encrypt(3, 1, block))
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptError, match="block 3 does not decrypt"):
        CIPHER.decrypt(3, bytes(envelope))


def test_the_place_counts() -> None:
    envelope = CIPHER.encrypt(3, 1, b"block")
    other_feed, other_key = BlockCipher(b"g" * 32, SECRET), BlockCipher(b"f" * 32, b"t" * 32)
    for cipher, index in ((CIPHER, 4), (other_feed, 3), (other_key, 3)):
        with pytest.raises(CorruptError, match=f"block {index} does not decrypt"):
            cipher.decrypt(index, envelope)
    with pytest.raises(CorruptError, match="43 bytes, too few to be encrypted"):
        CIPHER.decrypt(3, bytes(43))


def test_a_restored_backup_never_uses_a_nonce_again() -> None:
    envelopes = {CIPHER.encrypt(0, 0, b"same") for _ in range(100)}
    assert len({envelope[4:28] for envelope in envelopes}) == 100


def test_the_secret_is_not_shown() -> None:
    assert "sss" not in repr(CIPHER)


@pytest.fixture
def secret(store: Store) -> Feed:
    feed = store.feed("secret", encryption_key=SECRET)
    feed.extend([b"one", b"", b"three" * 500])
    feed.truncate(2)
    feed.append(b"other")
    return feed


def test_the_holder_of_the_key_reads(secret: Feed) -> None:
    assert list(secret) == [b"one", b"", b"other"]
    assert secret[-1] == b"other"
    assert secret.byte_length == 8 + 3 * OVERHEAD


def test_a_holder_without_the_key_serves(secret: Feed, elsewhere: Store) -> None:
    blind = elsewhere.feed(key=secret.key)
    blind.apply(secret.prove(range(3)))
    assert blind[0] != b"one"
    assert len(blind[0]) == 3 + OVERHEAD
    proof = blind.prove([0, 2])
    assert check_proof(secret.key, proof).blocks[2] == blind[2]
    with Store.memory() as third:
        reader = third.feed(key=secret.key, encryption_key=SECRET)
        reader.apply(proof)
        assert (reader[0], reader[2]) == (b"one", b"other")


def test_the_key_may_come_later(secret: Feed, elsewhere: Store) -> None:
    elsewhere.feed(key=secret.key).apply(secret.prove(range(3)))
    assert list(elsewhere.feed(key=secret.key, encryption_key=SECRET)) == [b"one", b"", b"other"]


def test_the_wrong_key_reads_nothing(secret: Feed, elsewhere: Store) -> None:
    wrong = elsewhere.feed(key=secret.key, encryption_key=b"w" * 32)
    wrong.apply(secret.prove(range(3)))
    with pytest.raises(CorruptError, match="block 0 does not decrypt with this feed's key"):
        wrong[0]
