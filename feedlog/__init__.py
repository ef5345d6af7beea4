"""Signed append-only logs that anyone can hold and nobody can forge.

    from feedlog import Store, check_proof

    with Store("path") as store:
        feed = store.feed("news")
        feed.append(b"hello")
        check_proof(feed.key, feed.prove(blocks=[0]))

docs/guide has a page for each task, docs/spec the bytes.
"""

from feedlog.audit import AuditReport
from feedlog.draft import Draft
from feedlog.errors import (
    BlockMissing,
    CorruptError,
    DecodeError,
    FeedlogError,
    ForkConflict,
    InvalidProof,
    NotWritable,
    StoreError,
)
from feedlog.feed import Feed
from feedlog.hashing import SUITES, HashSuite, discovery_key
from feedlog.head import Head
from feedlog.keys import KeyPair, decode_id, encode_id
from feedlog.manifest import Manifest
from feedlog.namespace import FeedInfo, Namespace
from feedlog.proof import Proof, Verified, check_proof
from feedlog.proof_codec import MAX_BLOCK_SIZE
from feedlog.ranges import Ranges
from feedlog.snapshot import Snapshot
from feedlog.store import Store
from feedlog.user_data import UserData

__all__ = [
    "MAX_BLOCK_SIZE",
    "SUITES",
    "AuditReport",
    "BlockMissing",
    "CorruptError",
    "DecodeError",
    "Draft",
    "Feed",
    "FeedInfo",
    "FeedlogError",
    "ForkConflict",
    "HashSuite",
    "Head",
    "InvalidProof",
    "KeyPair",
    "Manifest",
    "Namespace",
    "NotWritable",
    "Proof",
    "Ranges",
    "Snapshot",
    "Store",
    "StoreError",
    "UserData",
    "Verified",
    "check_proof",
    "decode_id",
    "discovery_key",
    "encode_id",
]
