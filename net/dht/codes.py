"""The codes that answers begin with: 0, or why a request was refused.

Specified in docs/spec/dht.md, section 6.

Invariant: each code but `OK` has a reason that people understand.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The first element of a response."""

    OK = 0
    TOKEN = 1
    RECORD = 2
    EXPIRY = 3
    STALE = 4
    FULL = 5
    BUSY = 6
    NO_ANNOUNCER = 7
    SILENT = 8
    CONFLICT = 9
    RIVAL = 10


REASONS = {
    Code.TOKEN: "the address token was wrong or too old",
    Code.RECORD: "the record does not parse or its signature does not match",
    Code.EXPIRY: "the expiry lies in the past or too far ahead (is this machine's clock right?)",
    Code.STALE: "a record with a higher sequence number is held already",
    Code.FULL: "no room for more records",
    Code.BUSY: "too many requests at this time",
    Code.NO_ANNOUNCER: "nobody is held here who announces this and takes introductions",
    Code.SILENT: "the announcer did not answer",
    Code.CONFLICT: "another value is held than the one to be replaced",
    Code.RIVAL: "another record with the same sequence number is held already",
}

OVERTAKEN = frozenset({Code.STALE, Code.CONFLICT, Code.RIVAL})
"""What a node says that was given another record, which counts there, before or meanwhile."""
