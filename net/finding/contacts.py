"""DHT nodes that answered before, kept in a file: a restart joins without the bootstrap nodes.

    kept = KeptContacts(directory / "contacts")
    node = DhtNode(..., known=kept.load())
    keeping = asyncio.create_task(kept.run(lambda: node.contacts))

The file is msgpack: `[1, [address, ...]]`, at most MAX_KEPT addresses as docs/spec/dht.md packs
them. It holds no node ids: who answers at an address proves its own. It is a hint and nothing
more: one that cannot be read is ignored, and one that cannot be written is not, both said once.

Invariant: a file is whole or not there. Must not know the DHT.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from feedlog.errors import DecodeError
from net.addresses import Address, is_numeric, pack_address, parse_address, unpack_address

MAX_KEPT = 64
"""Half of the nodes that one knows are gone after an hour or two; some of so many are there."""
MAX_FILE_SIZE = 4096
"""Bytes that are read of a file: 64 addresses have 1,300."""

SAVE_EVERY = 300.0
"""Seconds between two looks at whether the contacts have changed."""

Packed = Annotated[bytes, msgspec.Meta(max_length=18)]
Kept = Annotated[list[Packed], msgspec.Meta(max_length=MAX_KEPT)]
_decode = msgspec.msgpack.Decoder(tuple[Literal[1], Kept]).decode
_encode = msgspec.msgpack.Encoder().encode

log = logging.getLogger(__name__)


class KeptContacts:
    """Contacts in a file, which need not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: list[Address] = []
        self._failed = False

    def load(self) -> list[Address]:
        """Return what was kept; nothing, with a warning in the log, if the file is damaged."""
        try:
            with self._path.open("rb") as file:
                _, packed = _decode(file.read(MAX_FILE_SIZE + 1))
            self._saved = [unpack_address(one) for one in packed]
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError, DecodeError) as error:
            log.warning("%s is no list of contacts and is ignored: %s", self._path, error)
            return []
        return list(self._saved)

    def save(self, contacts: Sequence[str]) -> None:
        """Keep contacts, given as "host:port"; a node that knows nobody keeps whom it knew."""
        addresses = [parse_address(text) for text in contacts]
        usable = [address for address in addresses if is_numeric(address[0])]
        kept = usable[:: max(1, -(-len(usable) // MAX_KEPT))]  # from all parts of the table
        if not kept or set(kept) == set(self._saved):
            return
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(_encode((1, [pack_address(address) for address in kept])))
            fresh.replace(self._path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            if not self._failed:
                log.warning("the contacts cannot be kept in %s: %s", self._path, error)
            self._failed = True
        else:
            self._saved = kept

    async def run(self, contacts: Callable[[], Sequence[str]]) -> None:
        """Save now and then, and when cancelled."""
        try:
            while True:
                await asyncio.sleep(SAVE_EVERY)
                self.save(contacts())
        finally:
            self.save(contacts())
