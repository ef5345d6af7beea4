"""Ed25519 key pairs, and the form in which people read and type keys.

The sole caller of libsodium's signatures (RFC 8032, through pynacl). A key is
written for people as 52 characters of z-base-32, as Hypercore's tools do: no
case, no look-alike characters, and a double click selects it.

Must not know what is signed: `feedlog.hashing` builds that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nacl import bindings
from nacl.exceptions import BadSignatureError

KEY_SIZE = 32
SEED_SIZE = 32
SIGNATURE_SIZE = 64
ID_LENGTH = 52
"""Characters of a key in z-base-32: 256 bits in groups of five."""

ALPHABET = "ybndrfg8ejkmcpqxot1uwisza345h769"
"""z-base-32 (Zooko O'Whielacronx, 2002): a permutation that keeps easy characters frequent."""

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair. `public_key` and `seed` are 32 bytes each."""

    public_key: bytes
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a key pair from the operating system's randomness."""
        return cls.from_seed(bindings.randombytes(SEED_SIZE))

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """Make the key pair of a 32-byte seed; raises `ValueError` for another size."""
        if len(seed) != SEED_SIZE:
            raise ValueError(f"a seed has {SEED_SIZE} bytes, not {len(seed)}")
        public_key, _ = bindings.crypto_sign_seed_keypair(seed)
        return cls(public_key, seed)

    def sign(self, message: bytes) -> bytes:
        """Return the signature (64 bytes) over any message."""
        signed: bytes = bindings.crypto_sign(message, self.seed + self.public_key)
        return signed[:SIGNATURE_SIZE]


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether the signature over the message was made with the key's secret half."""
    if len(signature) != SIGNATURE_SIZE or len(public_key) != KEY_SIZE:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def random_secret() -> bytes:
    """Return 32 bytes of the operating system's randomness."""
    secret: bytes = bindings.randombytes(SEED_SIZE)
    return secret


def encode_id(key: bytes) -> str:
    """Return the 52 characters that stand for a key; raises `ValueError` unless it has 32 bytes."""
    if len(key) != KEY_SIZE:
        raise ValueError(f"a key has {KEY_SIZE} bytes, not {len(key)}")
    bits = int.from_bytes(key, "big") << 4  # 256 bits, padded to 52 groups of five
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(255, -1, -5))


def decode_id(text: str) -> bytes:
    """Return the 32-byte key that the 52 characters (any case) stand for.

    Raises `ValueError` that says what is wrong with the text.
    """
    if len(text) != ID_LENGTH:
        raise ValueError(f"a key has {ID_LENGTH} characters, not {len(text)}: {text[:60]!r}")
    bits = 0
    for character in text.lower():
        value = _VALUES.get(character)
        if value is None:
            raise ValueError(f"{character!r} is not a character of a key: {text!r}")
        bits = bits << 5 | value
    if bits & 15:
        raise ValueError(f"the last character of the key is mistyped: {text!r}")
    return (bits >> 4).to_bytes(KEY_SIZE, "big")
