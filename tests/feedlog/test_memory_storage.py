"""What is special to the storage in memory; the contract is in test_storage.py."""

from __future__ import annotations

import gc

from feedlog.memory_storage import MemoryStorage


def logs(storage: MemoryStorage) -> int:
    return len(storage._logs)


def test_old_values_are_kept_for_open_readers_only() -> None:
    with MemoryStorage() as storage:
        with storage.write() as w:
            w.put(b"a", b"1")
        reader = storage.read()
        with reader:
            assert logs(storage) == 1
            with storage.write() as w:
                w.put(b"a", b"2")
                assert logs(storage) == 2
            assert reader.get(b"a") == b"1"
        assert logs(storage) == 0


def test_a_reader_that_nobody_holds_costs_nothing() -> None:
    with MemoryStorage() as storage:
        storage.read()
        gc.collect()
        assert logs(storage) == 0


def test_it_has_no_pages_to_check() -> None:
    with MemoryStorage() as storage:
        storage.check_pages()
