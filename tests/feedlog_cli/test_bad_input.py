"""What goes wrong for users: one clear line, a code other than 0, and the store as it was."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedlog import MAX_BLOCK_SIZE, KeyPair, Manifest, Store, encode_id
from feedlog_cli.children import Children
from tests.reference.command_line import COMMAND, Network, Run

BLOCKS = [b"one", b"two"]


@pytest.fixture(autouse=True)
def intact(home: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a store with a feed in it; afterwards the feed must be the same."""
    with Store(home) as store:
        feed = store.feed("news")
        feed.extend(BLOCKS)
        key = feed.id
    yield key
    if "damaged" not in request.node.name:
        with Store(home) as store:
            assert list(store.feed("news")) == BLOCKS
            assert store.feed("news").id == key


def nobodys_key() -> str:
    return encode_id(Manifest((KeyPair.generate().public_key,)).key())


def test_wrong_key(process: Run, network: Network) -> None:
    result = process("clone", "x" * 51 + "!", "-b", network.bootstrap)
    assert (result.code, "'!' is not a character of a key" in result.complaint) == (2, True)
    result = process("clone", "short", "-b", network.bootstrap)
    assert (result.code, "a key has 52 characters, not 5" in result.complaint) == (2, True)
    for words in (("get", "short", 0), ("read", "short", "a"), ("trie", "get", "short", "a")):
        result = process(*words, "-b", network.bootstrap)
        assert result.code == 2
        assert result.complaint == (
            "the store has no feed 'short', and it is no key: "
            "a key has 52 characters, not 5: 'short'"
        )


def test_a_key_has_no_case(process: Run, intact: str) -> None:
    assert process("cat", intact.upper()).raw == b"one\ntwo\n"
    assert process("info", intact.upper(), "--json").json["key"] == intact


def test_arguments_that_are_no_text_are_named(process: Run) -> None:
    for words in (
        ("create", b"\xff"),
        ("append", "news", b"\xff"),
        ("trie", "put", "config", b"\xff", "v"),
    ):
        result = process(*(os.fsdecode(word) for word in words))
        assert result.complaint == r"'\udcff' cannot be written in utf-8", words


def test_a_file_larger_than_a_block_is_not_read_to_its_end(process: Run) -> None:
    complaint = process("append", "news", "--file", "/dev/zero").complaint
    assert complaint == (
        f"/dev/zero has more than {MAX_BLOCK_SIZE} bytes, the most that a block has; "
        "`feedlog publish` cuts files into blocks"
    )
    endless = process("append", "news", stdin=bytes(MAX_BLOCK_SIZE + 2)).complaint
    assert endless == f"a line has more than {MAX_BLOCK_SIZE} bytes, the most of a block"


def test_blocks_are_not_appended_to_a_trie(process: Run) -> None:
    process("trie", "put", "config", "k", "v")
    complaint = process("append", "config", "text").complaint
    assert complaint == "config is a trie: `feedlog trie put` writes to it"
    assert process("trie", "get", "config", "k").raw == b"v"


def test_a_key_that_nobody_announces(process: Run, network: Network) -> None:
    key = nobodys_key()
    for command in (("clone", key), ("get", key, 0), ("read", key, "a"), ("trie", "get", key, "a")):
        result = process(*command, "-b", network.bootstrap, "--timeout", 1)
        assert f"nobody announces {key}: asked " in result.complaint, command
        assert f"in 1 s, through {network.bootstrap}" in result.complaint


def test_no_bootstrap(process: Run, free_port: int) -> None:
    result = process("clone", nobodys_key(), "--timeout", 1)
    assert "in 1 s, through the local network; --bootstrap or --mainline" in result.complaint
    where = f"127.0.0.1:{free_port}"
    complaint = process("clone", nobodys_key(), "--bootstrap", where).complaint
    assert complaint == f"no bootstrap node answered: {where}"


def test_an_unreachable_peer(
    process: Run, network: Network, home: Path, intact: str, children: Children
) -> None:
    words = ("share", "--host", "127.0.0.1", "--json")
    env = {"FEEDLOG_STORE": str(home), "FEEDLOG_BOOTSTRAP": network.bootstrap}
    sharing, ready = children.serve(words, env)
    sharing.send_signal(signal.SIGKILL)
    sharing.wait()
    other = ("--store", home.with_name("other"), "-b", network.bootstrap, "--timeout", 3)
    result = process("get", intact, 0, *other)
    assert result.code == 1
    assert result.raw == b""
    last = result.err.splitlines()[-1]
    assert last.startswith("feedlog: ")
    assert "did not come in 3 s" in last
    assert f"tcp {ready['address']}" in last


def test_a_path_that_is_not_a_directory(process: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = tmp_path / "file"
    assert process("publish", file).complaint == f"{file} is not a directory"
    assert process("demo", file).complaint == f"{file} is not a directory"
    assert process("publish", tmp_path / "x").complaint == f"there is no directory {tmp_path / 'x'}"
    assert "a store is a directory" in process("info", "--store", file).complaint


def test_a_block_past_the_end(process: Run, network: Network) -> None:
    past = "block 2 is past the end: the feed has 2 blocks"
    assert process("get", "news", 2).complaint == past
    assert process("prove", "news", 2).complaint == past
    assert process("clear", "news", 2).complaint == past
    remote = process("get", network.log, 50, "-b", network.bootstrap)
    assert remote.complaint == "block 50 is past the end: the feed has 50 blocks"


def test_a_full_disk(process: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(2**22))
    limit = sum(file.stat().st_blocks * 512 for file in home.iterdir()) + 2**20

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    words = ("append", "news", "--file", tmp_path / "large")
    result = process(*words, preexec_fn=little_room)
    assert str(home) in result.complaint


def test_a_really_full_disk(home: Path, tmp_path: Path) -> None:
    assert os.geteuid() == 0, "this test mounts a small file system, so it needs root"
    small = tmp_path / "small"
    small.mkdir()
    script = f"""
        mount -t tmpfs -o size=2m none {small} || exit 99
        cp -r {home} {small}/store
        head -c 4000000 /dev/urandom > {tmp_path}/large
        {" ".join(COMMAND)} append news --file {tmp_path}/large --store {small}/store
        code=$?
        {" ".join(COMMAND)} cat news --store {small}/store
        exit $code
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, check=False, timeout=60
    )
    assert done.returncode != 99, "a small file system could not be mounted"
    assert (done.returncode, done.stdout) == (1, b"one\ntwo\n")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("feedlog: ")
    assert f"{small}/store" in line


def test_a_store_that_cannot_be_written_is_read(home: Path) -> None:
    assert os.geteuid() == 0, "this test mounts a file system read-only, so it needs root"
    feedlog = " ".join(COMMAND)
    script = f"""
        {feedlog} trie put config k v 2>&1 >/dev/null | sed 's/:.*//'
        mount --bind {home} {home} && mount -o remount,ro,bind {home} || exit 99
        {feedlog} get news -1; echo
        {feedlog} cat news
        {feedlog} trie get config k; echo
        {feedlog} trie ls config
        {feedlog} info news | grep writable
        {feedlog} append news three
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 1, "nothing can be appended"
    lines = ["config is a new trie", "two", "one", "two", "v", "k", "writable       no"]
    assert done.stdout.decode().splitlines() == lines
    (complaint,) = done.stderr.decode().splitlines()
    assert "Read-only file system" in complaint


def test_a_damaged_store(process: Run, home: Path) -> None:
    data = home / "data.mdb"
    data.write_bytes(os.urandom(data.stat().st_size))
    assert "damaged" in process("cat", "news").complaint
    data.write_bytes(b"")
    assert process("cat", "news").complaint


def links(directory: Path) -> list[Path]:
    """Return what the links in a directory point to, as far as they are still there."""
    found = []
    for link in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(link.readlink())
    return found


def test_a_store_that_another_process_writes_to_is_waited_for(home: Path) -> None:
    words = [*COMMAND, "append", "news", "waits"]
    with (
        Store(home) as store,
        store.transaction(),
        subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as append,
    ):
        descriptors = Path("/proc", str(append.pid), "fd")
        while not any(file.name == "writer.lock" for file in links(descriptors)):
            assert append.poll() is None
            time.sleep(0.05)
        with pytest.raises(subprocess.TimeoutExpired):
            append.wait(0.5)
        append.terminate()
        assert append.communicate() == (b"", b"")
        assert append.returncode == 128 + signal.SIGTERM
