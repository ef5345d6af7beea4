"""docs/spec/feed.md: its worked example, recomputed, and its text, compared."""

from __future__ import annotations

import json
from pathlib import Path

from feedlog import KeyPair, Manifest, encode_id
from feedlog.hashing import BLAKE3, discovery_key, head_signable
from feedlog.keys import verify
from feedlog.merkle import Roots

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "tests/vectors/feed_example.json").read_text())


def compute() -> dict[str, str]:
    """Build the example from its inputs."""
    pair = KeyPair.from_seed(bytes.fromhex(EXAMPLE["seed"]))
    manifest = Manifest((pair.public_key,))
    key = manifest.key()
    roots = Roots(BLAKE3)
    run = roots.extend([block.encode() for block in EXAMPLE["blocks"]])
    (leaf_0,), (leaf_2, parent_1), (leaf_4,) = map(run.column, range(3))
    signable = head_signable(key, roots.tree_hash(), 3, 0)
    return {
        "signer": pair.public_key.hex(),
        "manifest": manifest.to_bytes().hex(),
        "key": key.hex(),
        "id": encode_id(key),
        "discovery_key": discovery_key(key).hex(),
        "leaf_0": leaf_0[1].hex(),
        "leaf_2": leaf_2[1].hex(),
        "parent_1": parent_1[1].hex(),
        "leaf_4": leaf_4[1].hex(),
        "tree_hash": roots.tree_hash().hex(),
        "signable": signable.hex(),
        "signature": pair.sign(signable).hex(),
    }


def test_the_example_is_what_the_code_computes() -> None:
    assert compute() == EXAMPLE["values"]


def test_the_signature_is_valid() -> None:
    values = {
        name: bytes.fromhex(EXAMPLE["values"][name]) for name in ("signer", "signable", "signature")
    }
    assert verify(values["signer"], values["signable"], values["signature"])


def test_the_specification_shows_the_example() -> None:
    text = (ROOT / "docs/spec/feed.md").read_text()
    for name, value in EXAMPLE["values"].items():
        assert f"`{value}`" in text, name
