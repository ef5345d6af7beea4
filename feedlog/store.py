"""A store: many feeds in one directory, or in memory.

Holds a secret from which the key pairs of its named feeds are derived: whoever
copies the directory can write them, so keep it as you keep a private key.
Several processes may open one store at a time; writers take turns, readers see
each commit as it happens. Specified in docs/spec/store.md.

Knows which feeds there are. Must not know what is in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from feedlog import catalog, hashing
from feedlog.archive import read_header, read_proofs
from feedlog.catalog import FeedMeta
from feedlog.encryption import BlockCipher, check_encryption_key
from feedlog.errors import NotWritable, StoreError
from feedlog.feed import Feed
from feedlog.keys import KEY_SIZE, KeyPair, encode_id, random_secret
from feedlog.lmdb_storage import LmdbStorage
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.memory_storage import MemoryStorage
from feedlog.namespace import FeedInfo, Namespace
from feedlog.staged import Staging
from feedlog.storage import Reader, Storage


class Store:
    """A directory of feeds; use it as a context manager."""

    def __init__(
        self,
        path: str | Path,
        *,
        durability: Literal["durable", "relaxed"] = "durable",
        read_only: bool = False,
        create: bool = True,
        map_size: int | None = None,
    ) -> None:
        """Open the store at `path`, making it where it is not there (unless `create` is False).

        `durability="durable"` has every append on disk when it returns;
        `"relaxed"` leaves that to the operating system: nothing is torn when the
        process is killed, and the last appends can be lost when the machine stops.
        `map_size` is the first size in bytes of the memory map, which grows by
        itself. Raises `StoreError`.
        """
        storage = LmdbStorage(
            path, durability=durability, read_only=read_only, create=create, map_size=map_size
        )
        self._open(storage, read_only=read_only)

    @classmethod
    def memory(cls) -> Store:
        """Make a store in memory, for tests and short-lived use."""
        store = cls.__new__(cls)
        store._open(MemoryStorage(), read_only=False)  # noqa: SLF001 - an instance of this class
        return store

    def _open(self, storage: Storage, *, read_only: bool) -> None:
        self._storage = storage
        self._read_only = read_only
        self._feeds: dict[int, Feed] = {}
        self._stagings: dict[int, Staging] = {}
        """What waits to be written of a feed, whichever of its objects accepted it."""
        self._unused = 1
        try:
            self._secret = self._load_secret()
        except BaseException:
            storage.close()
            raise

    def _load_secret(self) -> bytes:
        with self._storage.read() as reader:
            header = catalog.load_header(reader)
        if header is None:
            if self._read_only:
                raise StoreError("the store is empty and was opened read-only")
            with self._storage.write() as writer:
                header = catalog.load_header(writer) or catalog.create_header(
                    writer, random_secret()
                )
        return header.secret

    # Keys.

    def key_pair(self, name: str, *, namespace: tuple[str, ...] = ()) -> KeyPair:
        """Return the key pair that the store's secret gives to a name."""
        return KeyPair.from_seed(hashing.key_pair_seed(self._secret_of(namespace), name))

    def _secret_of(self, namespace: tuple[str, ...]) -> bytes:
        secret = self._secret
        for name in namespace:
            secret = hashing.namespace_secret(secret, name)
        return secret

    # Feeds.

    def feed(
        self,
        name: str | None = None,
        *,
        key: bytes | None = None,
        manifest: Manifest | None = None,
        key_pair: KeyPair | None = None,
        encryption_key: bytes | None = None,
        namespace: tuple[str, ...] = (),
    ) -> Feed:
        """Open a feed, making it where the store does not have it.

        With a `name`: a feed of ours, whose key pair the store derives. With a `key`
        (32 bytes): somebody's, an empty replica until proofs are applied. `manifest`
        describes a feed with other signers or another hash; it may go with a name.
        `key_pair` is a signer's, for a feed whose secret key comes from elsewhere.
        `encryption_key` (32 bytes) is kept in the store. `namespace` is what
        `Store.namespace` sets.

        Returns one and the same object for one feed. Raises `ValueError` for
        arguments that name no feed, `NotWritable` where a read-only store would have
        to make it.
        """
        if encryption_key is not None:
            check_encryption_key(encryption_key)
        path = () if name is None else (*namespace, name)
        wanted = _Wanted(path, key, manifest, key_pair, encryption_key)
        with self._storage.read() as reader:
            found = _find(reader, wanted)
        number, meta = found or self._make(wanted)
        changed = _completed(meta, wanted)
        if changed != meta:
            changed = self._complete(number, wanted)
            self._feeds.pop(number, None)
        return self._object(number, changed)

    def _object(self, number: int, meta: FeedMeta) -> Feed:
        """Return the one object for a feed.

        Another process may have given its number to another feed, where making
        the one that we have an object for was rolled back: so the key is compared.
        """
        feed = self._feeds.get(number)
        if feed is None or feed.key != meta.key or feed.purged:
            feed = self._feeds[number] = self._open_feed(number, meta)
        return feed

    def _make(self, wanted: _Wanted) -> tuple[int, FeedMeta]:
        """Enter a feed that is not committed; it may have been made in the open transaction.

        A number is used once by this process, even if entering the feed is rolled
        back: an object that is left over must not read another feed's blocks.
        """
        self._refuse_read_only()
        signer = self._signer(wanted.path) if wanted.path else None
        meta = _described(wanted, signer)
        with self._storage.write() as writer:
            found = _find(writer, wanted)
            if found is not None:
                return found
            if catalog.find_by_key(writer, meta.key) is not None:
                raise ValueError(f"the store has the feed {encode_id(meta.key)} already")
            number = catalog.add_feed(writer, meta, least=self._unused)
        self._unused = number + 1
        return number, meta

    def _complete(self, number: int, wanted: _Wanted) -> FeedMeta:
        """Add what the caller knows to the facts as they are at this moment."""
        self._refuse_read_only()
        with self._storage.write() as writer:
            meta = catalog.load_feed(writer, number)
            if meta is None:
                raise StoreError("the feed was purged meanwhile")
            changed = _completed(meta, wanted)
            catalog.save_feed(writer, number, changed)
        return changed

    def _signer(self, path: tuple[str, ...]) -> KeyPair:
        return KeyPair.from_seed(hashing.feed_seed(self._secret_of(path[:-1]), path[-1]))

    def _open_feed(self, number: int, meta: FeedMeta) -> Feed:
        manifest = Manifest.from_bytes(meta.manifest) if meta.manifest else None
        candidates = [KeyPair.from_seed(seed) for seed in meta.seeds]
        if meta.path:
            candidates.append(self._signer(meta.path))
        signers = tuple(
            pair for pair in candidates if manifest and pair.public_key in manifest.signers
        )
        cipher = BlockCipher(meta.key, meta.encryption_key) if meta.encryption_key else None
        log = Log(number, dense=meta.dense)
        staging = self._stagings.get(number)
        if staging is None or staging.key != meta.key:
            staging = self._stagings[number] = Staging(log, meta.key)
        return Feed(
            self._storage,
            log,
            meta.key,
            manifest=manifest,
            signers=signers,
            cipher=cipher,
            staging=staging,
            read_only=self._read_only,
        )

    def feeds(self) -> list[FeedInfo]:
        """List the feeds of the store, oldest first."""
        with self._storage.read() as reader:
            known = list(catalog.feeds(reader))
        result = []
        for number, meta in known:
            feed = self._object(number, meta)
            info = FeedInfo(meta.key, meta.name, feed.length, feed.writable, meta.namespace)
            result.append(info)
        return result

    def import_feed(self, path: str | Path) -> Feed:
        """Read a file that `Feed.export` wrote into a feed that the store does not have yet.

        Everything is verified against the feed's key, which the file states: compare
        `Feed.key` with the one that you expect. All or nothing is stored, in one
        transaction, whose memory grows with the file: about twice its size. Raises
        `DecodeError` or `InvalidProof` for a file that is torn or changed,
        `ForkConflict` where its signers contradict themselves, `ValueError` where
        the store has blocks or heads of the feed, `OSError` where the file cannot
        be read.
        """
        with Path(path).open("rb") as file:
            key = read_header(file)
            self._refuse_read_only()
            with self._storage.write():
                feed = self.feed(key=key)
                if feed.head is not None:
                    raise ValueError(f"the store has {feed.length} blocks of the feed {feed.id}")
                for proof in read_proofs(file):
                    feed.apply(proof)
        return feed

    def purge(self, feed: Feed) -> None:
        """Remove a feed with all that the store has of it; see `Feed.purge`.

        Raises `ValueError` for an object that this store did not give out.
        """
        if feed not in self._feeds.values():
            raise ValueError(f"the feed {feed.id} was not opened from this store")
        feed.purge()

    def namespace(self, name: str) -> Namespace:
        """Return a view of the store in which names mean other feeds and key pairs."""
        return Namespace(self, (name,))

    # Transactions.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes inside the block one: to any feeds of the store, all or none."""
        self._refuse_read_only()
        self._flush()
        with self._storage.write():
            yield

    def _refuse_read_only(self) -> None:
        if self._read_only:
            raise NotWritable("the store was opened read-only")

    # Life.

    def close(self) -> None:
        """Release the store; its feeds raise `StoreError` from now on."""
        try:
            self._flush()
        finally:
            self._storage.close()

    def _flush(self) -> None:
        """Write what waits of any feed: of all that can be, also where one cannot."""
        with ExitStack() as every:
            for feed in tuple(self._feeds.values()):
                every.callback(feed.flush)

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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `Store.feed` was called with."""

    path: tuple[str, ...]
    key: bytes | None
    manifest: Manifest | None
    key_pair: KeyPair | None
    encryption_key: bytes | None


def _find(reader: Reader, wanted: _Wanted) -> tuple[int, FeedMeta] | None:
    """Return the number and the facts of the feed, where the store has it."""
    if wanted.path:
        number = catalog.find_by_path(reader, wanted.path)
    else:
        number = catalog.find_by_key(reader, _feed_key(wanted))
    if number is None:
        return None
    meta = catalog.load_feed(reader, number)
    assert meta is not None, "the index points at it"
    if wanted.key is not None and meta.key != wanted.key:
        raise ValueError(
            f"the feed {wanted.path[-1]!r} has the key {encode_id(meta.key)}, not the one given"
        )
    return number, meta


def _feed_key(wanted: _Wanted) -> bytes:
    """Return the key of the feed that the arguments name."""
    key, manifest = wanted.key, wanted.manifest
    if key is not None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a feed's key has {KEY_SIZE} bytes, not {len(key)}")
        if manifest is not None and manifest.key() != key:
            raise ValueError("the manifest does not hash to the key")
        return key
    if manifest is not None:
        return manifest.key()
    if wanted.key_pair is not None:
        return Manifest((wanted.key_pair.public_key,)).key()
    raise ValueError("a feed is opened by a name, a key, a manifest or a key pair")


def _described(wanted: _Wanted, signer: KeyPair | None) -> FeedMeta:
    """Return the facts of a feed that the store does not have yet; `signer` is its name's."""
    manifest, key_pair = wanted.manifest, wanted.key_pair
    if signer is not None and wanted.key is None and manifest is None and key_pair is None:
        manifest = Manifest((signer.public_key,))
    key = manifest.key() if manifest and wanted.key is None else _feed_key(wanted)
    if manifest is None and key_pair is not None:
        candidate = Manifest((key_pair.public_key,))
        manifest = candidate if candidate.key() == key else None
    return FeedMeta(
        key=key,
        name=wanted.path[-1] if wanted.path else None,
        namespace=wanted.path[:-1],
        manifest=manifest.to_bytes() if manifest else b"",
        seeds=(key_pair.seed,) if key_pair else (),
        dense=wanted.key is None,
        encryption_key=wanted.encryption_key or b"",
    )


def _completed(meta: FeedMeta, wanted: _Wanted) -> FeedMeta:
    """Return the stored facts with what the caller knows in addition."""
    manifest, key_pair = wanted.manifest, wanted.key_pair
    if manifest is not None and manifest.key() != meta.key:
        raise ValueError("the manifest does not hash to the feed's key")
    known = meta.manifest or (manifest.to_bytes() if manifest else b"")
    seeds = meta.seeds
    if key_pair is not None and key_pair.seed not in seeds:
        seeds = (*seeds, key_pair.seed)
    secret = wanted.encryption_key
    if secret is not None and meta.encryption_key not in (b"", secret):
        raise ValueError("the feed has another encryption key")
    return msgspec.structs.replace(
        meta, manifest=known, seeds=seeds, encryption_key=secret or meta.encryption_key
    )
