"""A fixed state of a feed that stays readable while the feed changes.

Holds a read transaction: truncating or clearing the feed, here or in another
process, takes nothing from it. The price is that the store cannot reuse what it
frees meanwhile, so a snapshot is closed when done, by `with` or `close`.

Must not change anything.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

from feedlog.encryption import BlockCipher
from feedlog.errors import StoreError
from feedlog.head import Head
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.storage import Reader
from feedlog.view import View


class Snapshot(View):
    """The first `length` blocks of a feed, as they were when it was taken."""

    def __init__(
        self,
        key: bytes,
        log: Log,
        manifest: Manifest | None,
        cipher: BlockCipher | None,
        *,
        transaction: AbstractContextManager[Reader],
        length: int | None,
    ) -> None:
        super().__init__(key, log, manifest, cipher)
        self._transaction: AbstractContextManager[Reader] | None = transaction
        self._reader = transaction.__enter__()
        try:
            self._fixed = self._fix(length)
        except BaseException:
            self.close()
            raise

    def _fix(self, length: int | None) -> tuple[Head | None, int]:
        entry = self._log.last_entry(self._reader)
        head, byte_length = self._log.decode_head(entry) if entry else (None, 0)
        length = self._checked_length(head, length)
        if head is None or length == head.length or self.manifest is None:
            return head, byte_length
        found = self._log.head_at(self._reader, length)
        roots = self._log.roots(self._reader, length, self.manifest.suite)
        unsigned = Head(head.fork, length, roots.tree_hash(), ())
        return found[0] if found else unsigned, roots.byte_length

    def _reading(self) -> AbstractContextManager[Reader]:
        if self._transaction is None:
            raise StoreError("the snapshot is closed")
        return nullcontext(self._reader)

    def _state(self, reader: Reader) -> tuple[Head | None, int]:  # noqa: ARG002 - as in View
        return self._fixed

    def close(self) -> None:
        """Let go of the state; reading raises `StoreError` from now on."""
        if self._transaction is not None:
            self._transaction.__exit__(None, None, None)
            self._transaction = None

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close what was forgotten, so that the store can reuse its pages."""
        if getattr(self, "_transaction", None) is not None:
            self.close()
