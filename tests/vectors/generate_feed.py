"""Write the vectors of feeds: `python tests/vectors/generate_feed.py`, or `--check` them.

Good ones say what they show. Bad ones have a name, the exception that they must cause, and
words of its message. docs/spec/feed.md is enough to use them from another language.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from feedlog import Head, KeyPair, Manifest, Proof, Store, discovery_key, encode_id
from feedlog.flat_tree import NodeIndex, roots
from feedlog.hashing import BLAKE2B, BLAKE3, head_signable
from feedlog.head import sign
from feedlog.plan import Question
from feedlog.ranges import Ranges

HERE = Path(__file__).parent
PAIRS = [KeyPair.from_seed(bytes([i]) * 32) for i in range(4)]
SIGNERS = tuple(pair.public_key for pair in PAIRS[:3])
SHARED = Manifest(SIGNERS, quorum=2)
BLOCKS = [b"block %d" % i * (i % 5) for i in range(21)]


def manifests() -> dict[str, Any]:
    good = {
        "one-signer": Manifest(SIGNERS[:1]),
        "two-of-three": SHARED,
        "three-of-three": Manifest(SIGNERS, quorum=3),
        "blake2b": Manifest(SIGNERS[:1], suite=BLAKE2B),
        "other-order": Manifest(SIGNERS[::-1], quorum=2),
    }
    plain = SHARED.to_bytes()
    bad = {
        "nothing": (b"", "too few"),
        "unknown-version": (b"\x02" + plain[1:], "version 2"),
        "unknown-suite": (b"\x01\x03" + plain[2:], "suite 3"),
        "no-quorum": (b"\x01\x01\x00" + plain[3:], "quorum of 0"),
        "quorum-of-more-than-all": (b"\x01\x01\x04" + plain[3:], "quorum of 4"),
        "no-signers": (b"\x01\x01\x01\x00", "not 0"),
        "truncated": (plain[:-1], "do not hold 3 signers"),
        "trailing-byte": (plain + b"\x00", "do not hold 3 signers"),
        "repeated-signer": (b"\x01\x01\x01\x02" + SIGNERS[0] * 2, "must be different"),
    }
    return {
        "comment": "Manifests and the keys they hash to: docs/spec/feed.md, section 3.",
        "good": [
            {
                "name": name,
                "suite": manifest.suite.name,
                "quorum": manifest.quorum,
                "signers": [signer.hex() for signer in manifest.signers],
                "manifest": manifest.to_bytes().hex(),
                "key": manifest.key().hex(),
                "id": encode_id(manifest.key()),
                "discovery_key": discovery_key(manifest.key()).hex(),
            }
            for name, manifest in good.items()
        ],
        "bad": [
            {"name": name, "manifest": data.hex(), "says": says}
            for name, (data, says) in bad.items()
        ],
    }


def signed_head(signers: Iterable[int], fork: int = 0, length: int = 3) -> Head:
    tree_hash = bytes(range(32))
    pairs = [PAIRS[i] for i in signers]
    signatures = sign(SHARED.key(), SHARED, pairs, fork=fork, length=length, tree_hash=tree_hash)
    return Head(fork, length, tree_hash, signatures)


def heads() -> dict[str, Any]:
    good = {
        "two-signers": signed_head([0, 2]),
        "all-signers": signed_head([0, 1, 2]),
        "of-a-fork": signed_head([1, 2], fork=7),
        "of-nothing": signed_head([0, 1], fork=1, length=0),
        "the-longest": signed_head([0, 1], length=2**40 - 1, fork=2**32 - 1),
    }
    plain = good["two-signers"]
    one, other = plain.signatures
    foreign = PAIRS[3].sign(head_signable(SHARED.key(), plain.tree_hash, 3, 0))
    bad = {
        "below-the-quorum": (dataclasses.replace(plain, signatures=(one,)), "quorum is 2"),
        "one-signer-twice": (dataclasses.replace(plain, signatures=(one, one)), "[0, 0]"),
        "wrong-order": (dataclasses.replace(plain, signatures=(other, one)), "[2, 0]"),
        "no-such-signer": (dataclasses.replace(plain, signatures=(one, (3, other[1]))), "[0, 3]"),
        "foreign-signer": (
            dataclasses.replace(plain, signatures=(one, (2, foreign))),
            "signature of signer 2",
        ),
        "another-signers-place": (
            dataclasses.replace(plain, signatures=(one, (1, other[1]))),
            "signature of signer 1",
        ),
        "a-third-that-is-wrong": (
            dataclasses.replace(plain, signatures=(one, (1, bytes(64)), other)),
            "signature of signer 1",
        ),
        "wrong-fork": (dataclasses.replace(plain, fork=1), "signature of signer 0"),
        "wrong-length": (dataclasses.replace(plain, length=4), "signature of signer 0"),
        "wrong-tree-hash": (
            dataclasses.replace(plain, tree_hash=bytes(32)),
            "signature of signer 0",
        ),
    }

    def fields(head: Head) -> dict[str, Any]:
        return {
            "fork": head.fork,
            "length": head.length,
            "tree_hash": head.tree_hash.hex(),
            "signatures": [[place, signature.hex()] for place, signature in head.signatures],
        }

    return {
        "comment": "Heads of one feed: docs/spec/feed.md, section 5.",
        "manifest": SHARED.to_bytes().hex(),
        "key": SHARED.key().hex(),
        "good": [
            {
                "name": name,
                **fields(head),
                "signable": head_signable(
                    SHARED.key(), head.tree_hash, head.length, head.fork
                ).hex(),
            }
            for name, head in good.items()
        ],
        "bad": [{"name": name, **fields(head), "says": says} for name, (head, says) in bad.items()],
    }


def good_proofs() -> dict[str, Proof]:
    with Store.memory() as store, Store.memory() as elsewhere:
        feed = store.feed(key_pair=PAIRS[0])
        feed.extend(BLOCKS[:13])
        feed.extend(BLOCKS[13:])
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove([9]))
        anchors = copy.anchors([8])
        shared = store.feed(manifest=SHARED, key_pair=PAIRS[0])
        shared = store.feed(manifest=SHARED, key_pair=PAIRS[2])
        shared.extend(BLOCKS)
        shared.truncate(11)
        return {
            "head": feed.prove(),
            "one-block": feed.prove([4]),
            "empty-block": feed.prove([5]),
            "all-blocks": feed.prove(range(21)),
            "ranges": feed.prove([3, 4, 9, 17, 18, 19, 20]),
            "seek": feed.prove(seek=150),
            "hashes": feed.prove(hashes=[7, 19, 40]),
            "old-length": feed.prove([12], length=13),
            "upgrade": feed.prove(since=13),
            "upgrade-with-blocks": feed.prove([2, 15], since=13),
            "against-a-known-head": feed.prove([8, 20], since=21, signed=False),
            "anchored": feed.prove([8], since=21, anchors=anchors, signed=False),
            "several-signers-and-a-fork": shared.prove([10]),
        }


def bad_proofs(good: dict[str, Proof]) -> dict[str, tuple[bytes, str, str]]:
    """Return, by name: the bytes, the exception, and words of its message."""
    proof = good["ranges"]
    data = proof.to_bytes()
    nodes = proof.nodes
    fields = msgspec.msgpack.decode(data[1:])

    def changed(**parts: Any) -> bytes:
        return dataclasses.replace(proof, **parts).to_bytes()

    def asking(**parts: Any) -> bytes:
        return changed(question=dataclasses.replace(proof.question, **parts))

    def raw(at: int, value: Any) -> bytes:
        return b"\x01" + msgspec.msgpack.encode([*fields[:at], value, *fields[at + 1 :]])

    other = Manifest(SIGNERS[1:2])
    decode, invalid = "DecodeError", "InvalidProof"
    return {
        "nothing": (b"", decode, "no bytes"),
        "unknown-version": (b"\x02" + data[1:], decode, "version 2"),
        "truncated-proof": (data[:-1], decode, "proof"),
        "trailing-bytes": (data + b"\x00", decode, "proof"),
        "missing-element": (b"\x01" + msgspec.msgpack.encode(fields[:-1]), decode, "proof"),
        "extra-element": (b"\x01" + msgspec.msgpack.encode([*fields, 0]), decode, "proof"),
        "negative-fork": (raw(0, -1), decode, "proof"),
        "length-of-41-bits": (raw(1, 2**40), decode, "1099511627775"),
        "descending-ranges": (raw(4, fields[4][::-1]), decode, "ranges"),
        "touching-ranges": (raw(4, [[3, 4], [4, 5], *fields[4][1:]]), decode, "ranges"),
        "empty-range": (raw(4, [[1, 1], *fields[4]]), decode, "ranges"),
        "fewer-blocks-than-ranges": (raw(10, fields[10][:-1]), decode, "ranges"),
        "block-past-the-length": (raw(1, 20), decode, "past the length 20"),
        "since-past-the-length": (raw(2, 22), decode, "since 22"),
        "unsigned-without-since": (raw(3, False), decode, "trusted length"),
        "descending-hashes": (raw(5, [7, 3]), decode, "ascend"),
        "anchor-past-since": (raw(6, [3]), decode, "past the length 0"),
        "half-a-hash": (raw(9, fields[9][:-1]), decode, "sizes do not fit"),
        "short-signature": (raw(12, [[0, bytes(63)]]), decode, "proof"),
        "no-such-place": (raw(12, [[32, bytes(64)]]), decode, "proof"),
        "swapped-uncles": (changed(nodes=(nodes[1], nodes[0], *nodes[2:])), invalid, "signature"),
        "changed-size": (
            changed(nodes=((nodes[0][0] + 1, nodes[0][1]), *nodes[1:])),
            invalid,
            "signature",
        ),
        "left-over-node": (changed(nodes=(*nodes, nodes[0])), invalid, "expected"),
        "missing-node": (changed(nodes=nodes[:-1]), invalid, "expected"),
        "sizes-past-any-feed": (
            changed(nodes=tuple((2**63 - 1, digest) for _, digest in nodes)),
            invalid,
            "more than a feed",
        ),
        "changed-block": (changed(data=(b"forged", *proof.data[1:])), invalid, "signature"),
        "swapped-blocks": (
            changed(data=(proof.data[1], proof.data[0], *proof.data[2:])),
            invalid,
            "signature",
        ),
        "wrong-fork": (changed(fork=1), invalid, "signature"),
        "wrong-length": (asking(length=23), invalid, "expected"),
        "shifted-blocks": (
            asking(blocks=Ranges([(3, 5), (8, 9), (17, 21)])),
            invalid,
            "signature",
        ),
        "no-manifest": (changed(manifest=None), invalid, "manifest"),
        "another-manifest": (changed(manifest=other), invalid, "manifest"),
        "no-signature": (changed(signatures=()), invalid, "quorum"),
        "repeated-signature": (changed(signatures=proof.signatures * 2), invalid, "[0, 0]"),
        "byte-in-another-block": (changed(seek=0), invalid, "in none of the blocks"),
        "trust-that-nobody-has": (good["upgrade"].to_bytes(), invalid, "does not stand alone"),
        "unsigned": (good["against-a-known-head"].to_bytes(), invalid, "does not stand alone"),
    }


def trusted(proof: Proof) -> list[NodeIndex]:
    question: Question = proof.question
    return [*roots(question.since), *question.anchors]


def proofs() -> dict[str, Any]:
    good = good_proofs()
    with Store.memory() as store:
        feed = store.feed(key_pair=PAIRS[0])
        feed.extend(BLOCKS)
        with feed._reading() as reader:
            nodes = {name: feed._log.nodes(reader, trusted(proof)) for name, proof in good.items()}
    return {
        "comment": (
            "Proofs: docs/spec/feed.md, sections 6 and 7. `trusted` are the nodes that the reader "
            "knows already: index, size, hash. The bad ones are checked with `key` and no trust."
        ),
        "key": Manifest(SIGNERS[:1]).key().hex(),
        "suite": BLAKE3.name,
        "good": [
            {
                "name": name,
                "key": (SHARED if proof.fork else Manifest(SIGNERS[:1])).key().hex(),
                "proof": proof.to_bytes().hex(),
                "fork": proof.fork,
                "length": proof.length,
                "signed": proof.question.signed,
                "blocks": {str(index): block.hex() for index, block in proof.blocks.items()},
                "trusted": [
                    [index, size, digest.hex()]
                    for index, (size, digest) in zip(trusted(proof), nodes[name], strict=True)
                ],
            }
            for name, proof in good.items()
        ],
        "bad": [
            {"name": name, "proof": data.hex(), "raises": raises, "says": says}
            for name, (data, raises, says) in bad_proofs(good).items()
        ],
    }


FILES = {"feed_manifests.json": manifests, "feed_heads.json": heads, "feed_proofs.json": proofs}


def rendered(name: str) -> str:
    """Return what the file should hold."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=False) + "\n"


def outdated() -> list[str]:
    """Return the files that do not hold what they should."""
    return [
        name
        for name in FILES
        if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != rendered(name)
    ]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(f"out of date: {outdated()}" if outdated() else 0)
    for name in FILES:
        (HERE / name).write_text(rendered(name), encoding="utf-8")
