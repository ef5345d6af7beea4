"""A feed inside of a write transaction, with what the transaction has done to it so far.

`Feed` itself shows what is committed, to the writing thread as to all others. Whoever
reads in order to write, as a conditional write does, must read here.

Must not change anything, nor be used when the transaction has ended.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from feedlog.encryption import BlockCipher
from feedlog.head import Head
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.storage import Reader, Writer
from feedlog.view import View


class Pending(View):
    """What a feed will be when the transaction is committed. Made by `Feed.transaction`."""

    def __init__(
        self,
        key: bytes,
        log: Log,
        manifest: Manifest | None,
        cipher: BlockCipher | None,
        writer: Writer,
    ) -> None:
        super().__init__(key, log, manifest, cipher)
        self._writer = writer

    def _reading(self) -> AbstractContextManager[Reader]:
        return nullcontext(self._writer)

    def _state(self, reader: Reader) -> tuple[Head | None, int]:
        entry = self._log.last_entry(reader)
        return (None, 0) if entry is None else self._log.decode_head(entry)
