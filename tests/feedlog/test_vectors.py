"""The published vectors of feeds: they are what the code computes, and the code obeys them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import feedlog
from feedlog import Head, InvalidProof, Manifest, Proof, check_proof, decode_id, discovery_key
from feedlog.errors import DecodeError
from feedlog.flat_tree import NodeIndex
from feedlog.hashing import head_signable
from feedlog.proof import verify

VECTORS = Path(__file__).parents[1] / "vectors"


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return found


MANIFESTS, HEADS, PROOFS = (load(f"feed_{name}.json") for name in ("manifests", "heads", "proofs"))


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["name"])


def test_they_are_up_to_date() -> None:
    script = [sys.executable, str(VECTORS / "generate_feed.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("file", [MANIFESTS, HEADS, PROOFS])
def test_names_are_used_once(file: dict[str, Any]) -> None:
    names = [case["name"] for case in file["good"] + file["bad"]]
    assert len(names) == len(set(names))


@named(MANIFESTS["good"])
def test_good_manifests(case: dict[str, Any]) -> None:
    manifest = Manifest.from_bytes(bytes.fromhex(case["manifest"]))
    assert manifest.quorum == case["quorum"]
    assert manifest.suite.name == case["suite"]
    assert [signer.hex() for signer in manifest.signers] == case["signers"]
    assert manifest.key().hex() == case["key"]
    assert decode_id(case["id"]) == manifest.key()
    assert discovery_key(manifest.key()).hex() == case["discovery_key"]


@named(MANIFESTS["bad"])
def test_bad_manifests(case: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as raised:
        Manifest.from_bytes(bytes.fromhex(case["manifest"]))
    assert case["says"] in str(raised.value)


def head_of(case: dict[str, Any]) -> Head:
    return Head(
        case["fork"],
        case["length"],
        bytes.fromhex(case["tree_hash"]),
        tuple((place, bytes.fromhex(signature)) for place, signature in case["signatures"]),
    )


@named(HEADS["good"])
def test_good_heads(case: dict[str, Any]) -> None:
    head, key = head_of(case), bytes.fromhex(HEADS["key"])
    head.check(key, Manifest.from_bytes(bytes.fromhex(HEADS["manifest"])))
    assert head_signable(key, head.tree_hash, head.length, head.fork).hex() == case["signable"]


@named(HEADS["bad"])
def test_bad_heads(case: dict[str, Any]) -> None:
    manifest = Manifest.from_bytes(bytes.fromhex(HEADS["manifest"]))
    with pytest.raises(InvalidProof) as raised:
        head_of(case).check(bytes.fromhex(HEADS["key"]), manifest)
    assert case["says"] in str(raised.value)


@named(PROOFS["good"])
def test_good_proofs(case: dict[str, Any]) -> None:
    data, key = bytes.fromhex(case["proof"]), bytes.fromhex(case["key"])
    proof = Proof.from_bytes(data)
    assert proof.to_bytes() == data
    trusted = {
        NodeIndex(index): (size, bytes.fromhex(digest)) for index, size, digest in case["trusted"]
    }
    known = Manifest.from_bytes(bytes.fromhex(MANIFESTS["good"][0]["manifest"]))
    verified = verify(key, proof, manifest=proof.manifest or known, trusted=trusted)
    assert (verified.fork, verified.length) == (case["fork"], case["length"])
    assert (verified.head is not None) == case["signed"]
    assert {str(i): block.hex() for i, block in verified.blocks.items()} == case["blocks"]


@named(PROOFS["bad"])
def test_bad_proofs(case: dict[str, Any]) -> None:
    with pytest.raises(getattr(feedlog, case["raises"])) as raised:
        check_proof(bytes.fromhex(PROOFS["key"]), Proof.from_bytes(bytes.fromhex(case["proof"])))
    assert case["says"] in str(raised.value)
