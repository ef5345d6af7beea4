"""Removing a feed from a store, with everything that is kept of it.

The space is free for other feeds at once; docs/spec/store.md says how it returns to
the system. Numbers of feeds are not used again, so that whoever else has the feed
open, in this process or another, finds it empty and is refused when changing it.

Knows which entries a feed has. Must not know what they mean.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Never

from feedlog import catalog
from feedlog.errors import StoreError
from feedlog.log import Log
from feedlog.storage import Reader, Storage, Writer


def purge(storage: Storage, log: Log, key: bytes) -> None:
    """Remove a feed in one transaction; raises `StoreError` where it is not there any more."""
    with storage.write() as writer:
        catalog.require_feed(writer, log.number, key)
        meta = catalog.load_feed(writer, log.number)
        assert meta is not None, "the index points at it"
        log.purge(writer)
        catalog.remove_feed(writer, log.number, meta)


class PurgedStorage:
    """The storage of a purged feed: every use raises `StoreError`."""

    def __init__(self, feed_id: str) -> None:
        """Take what to call the feed."""
        self._feed_id = feed_id

    def _refuse(self) -> Never:
        raise StoreError(f"the feed {self._feed_id} was purged")

    def get(self, key: bytes) -> bytes | None:
        """Raise."""
        del key
        self._refuse()

    def generation(self) -> int:
        """Raise."""
        self._refuse()

    def read(self) -> AbstractContextManager[Reader]:
        """Raise."""
        self._refuse()

    def write(self) -> AbstractContextManager[Writer]:
        """Raise."""
        self._refuse()

    def check_pages(self) -> None:
        """Raise."""
        self._refuse()

    def close(self) -> None:
        """Do nothing: the store closes its own storage."""
