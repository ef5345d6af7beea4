"""Contacts in a file: they come back, and damage costs a warning and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from net.finding.contacts import MAX_FILE_SIZE, MAX_KEPT, KeptContacts

SOME = ["192.0.2.1:49737", "[2001:db8::1]:1"]


def test_they_come_back(tmp_path: Path) -> None:
    path = tmp_path / "contacts"
    assert KeptContacts(path).load() == []
    KeptContacts(path).save(SOME)
    assert KeptContacts(path).load() == [("192.0.2.1", 49737), ("2001:db8::1", 1)]
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_a_spread_is_kept(tmp_path: Path) -> None:
    kept = KeptContacts(tmp_path / "contacts")
    kept.save([f"192.0.{n >> 8}.{n & 255}:1" for n in range(1000)])
    hosts = [host for host, _ in KeptContacts(tmp_path / "contacts").load()]
    assert 32 <= len(hosts) <= MAX_KEPT
    assert {host.split(".")[2] for host in hosts} == {"0", "1", "2", "3"}
    assert (tmp_path / "contacts").stat().st_size <= MAX_FILE_SIZE


def test_who_knows_nobody_forgets_nobody(tmp_path: Path) -> None:
    kept = KeptContacts(tmp_path / "contacts")
    kept.save(SOME)
    kept.save([])
    assert len(kept.load()) == 2


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    kept = KeptContacts(tmp_path / "contacts")
    kept.save(SOME)
    (tmp_path / "contacts").unlink()
    kept.save(list(reversed(SOME)))
    assert kept.load() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_file_is_read_or_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "contacts").write_bytes(content)
    assert all(len(address) == 2 for address in KeptContacts(tmp_path / "contacts").load())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x03]q\x00.",  # a pickle
        msgspec.msgpack.encode((2, [])),
        msgspec.msgpack.encode((1, [b"12345"])),
        msgspec.msgpack.encode((1, [bytes(6)] * (MAX_KEPT + 1))),
        bytes(MAX_FILE_SIZE + 1),
    ],
)
def test_damage_is_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "contacts").write_bytes(content)
    assert KeptContacts(tmp_path / "contacts").load() == []
    assert "is ignored" in caplog.text


def test_a_place_that_takes_nothing_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = KeptContacts(tmp_path / "none" / "contacts")
    with caplog.at_level(logging.WARNING):
        kept.save(SOME)
        kept.save(SOME)
    assert caplog.text.count("cannot be kept") == 1


async def test_they_are_saved_at_the_end(tmp_path: Path) -> None:
    kept = KeptContacts(tmp_path / "contacts")
    task = asyncio.create_task(kept.run(lambda: SOME))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(kept.load()) == 2
