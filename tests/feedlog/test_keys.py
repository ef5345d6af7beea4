from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import KeyPair, decode_id, encode_id
from feedlog.keys import ALPHABET, random_secret, verify

KEYS = st.binary(min_size=32, max_size=32)

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    pair = KeyPair.from_seed(bytes.fromhex(seed))
    assert pair.public_key.hex() == public_key
    assert pair.sign(bytes.fromhex(message)).hex() == signature
    assert verify(pair.public_key, bytes.fromhex(message), bytes.fromhex(signature))


@given(st.binary(max_size=100), st.integers(0, 64 * 8 - 1))
def test_one_changed_bit_is_no_signature(message: bytes, bit: int) -> None:
    pair = KeyPair.from_seed(bytes(32))
    signature = bytearray(pair.sign(message))
    assert verify(pair.public_key, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(pair.public_key, message, bytes(signature))
    assert not verify(pair.public_key, message + b"!", pair.sign(message))


@given(st.binary(max_size=70), st.binary(max_size=40))
def test_any_bytes_are_a_signature_or_not(signature: bytes, public_key: bytes) -> None:
    assert not verify(KeyPair.from_seed(bytes(32)).public_key, b"message", signature)
    assert not verify(public_key, b"message", bytes(64))


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="a seed has 32 bytes, not 31"):
        KeyPair.from_seed(bytes(31))


def test_the_seed_is_not_shown() -> None:
    assert "seed" not in repr(KeyPair.generate())


def test_every_pair_and_secret_is_another() -> None:
    assert KeyPair.generate() != KeyPair.generate()
    assert random_secret() != random_secret()


@given(KEYS)
def test_ids_there_and_back(key: bytes) -> None:
    text = encode_id(key)
    assert len(text) == 52
    assert set(text) <= set(ALPHABET)
    assert decode_id(text) == decode_id(text.upper()) == key


def test_a_known_id() -> None:
    assert encode_id(bytes(32)) == "y" * 52
    assert encode_id(b"\xff" * 32) == "9" * 51 + "o"


@given(KEYS, st.integers(0, 51), st.sampled_from("lv02-ä \n"))
def test_mistyped_ids(key: bytes, at: int, character: str) -> None:
    text = encode_id(key)
    wrong = text[:at] + character + text[at + 1 :]
    with pytest.raises(ValueError, match="is not a character of a key"):
        decode_id(wrong)
    with pytest.raises(ValueError, match="a key has 52 characters, not 51"):
        decode_id(text[1:])
    with pytest.raises(ValueError, match="the last character of the key is mistyped"):
        decode_id(text[:-1] + "b")


@given(st.text(max_size=60))
def test_any_text_is_a_key_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert encode_id(decode_id(text)) == text.lower()


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="a key has 32 bytes, not 33"):
        encode_id(bytes(33))
