"""A feed is followed on when addresses change, and when interface and sockets are taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.natbed.bed import ADDRESSES, SERVERS, NatBed, run
from tests.reference.command_line import COMMAND

ROOT = Path(__file__).parent.parent.parent
EVERYWHERE = "0.0.0.0"
PORT = 4000


class Roamer:
    """A `roamer` process on a host of the bed."""

    def __init__(self, bed: NatBed, host: str, *arguments: str) -> None:
        command = bed.command(host, sys.executable, "-m", "tests.natbed.roamer", *arguments)
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def until_warned(self, *warnings: str) -> None:
        """Wait until it has logged each of these, in whatever order."""
        left = set(warnings)
        assert self._process.stderr is not None
        while left:
            line = self._process.stderr.readline()
            assert line, f"it has ended without a word of {left}"
            left -= {words for words in left if words in line}

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def roaming(bed: NatBed, host: str, *arguments: str) -> Iterator[Roamer]:
    roamer = Roamer(bed, host, *arguments)
    try:
        yield roamer
    finally:
        roamer.close()


@contextmanager
def dht(bed: NatBed) -> Iterator[str]:
    """Run a node of the DHT in the open; yields its address."""
    command = bed.command("srv", *COMMAND, "dht", "--host", SERVERS[0])
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def ip(bed: NatBed, host: str, *arguments: str) -> None:
    run(*bed.command(host, "ip", *arguments))


def give(bed: NatBed, host: str, address: str) -> None:
    """Give a host behind the first router an address, and its way out again."""
    ip(bed, host, "addr", "add", f"{address}/24", "dev", "lan")
    ip(bed, host, "route", "replace", "default", "via", "192.168.1.1")


def take(bed: NatBed, host: str, address: str) -> None:
    ip(bed, host, "addr", "del", f"{address}/24", "dev", "lan")


def test_a_follow_goes_on_when_either_end_has_another_address(worker_id: str) -> None:
    home = ADDRESSES["h1"]
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"rm{os.getpid()}{worker_id[:4]}"))
        bootstrap = stack.enter_context(dht(bed))
        writer = stack.enter_context(roaming(bed, "h1", "share", EVERYWHERE, str(PORT), bootstrap))
        key = writer.hear()
        reader = stack.enter_context(roaming(bed, "l1", "follow", EVERYWHERE, key, bootstrap))
        writer.say("at home")
        assert reader.hear() == "at home"
        for host, old, new in (
            ("l1", ADDRESSES["l1"], "192.168.1.33"),
            ("h1", home, "192.168.1.22"),
            ("h1", "192.168.1.22", home),
        ):
            take(bed, host, old)
            give(bed, host, new)
            writer.say(f"{host} has {new}")
            assert reader.hear() == f"{host} has {new}"


def test_a_follow_goes_on_when_the_publisher_is_behind_another_router(worker_id: str) -> None:
    """The follower's router lets in nothing from there: he has to look for the publisher."""
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"rr{os.getpid()}{worker_id[:4]}"))
        bed.set_router(3, "cone")
        bootstrap = stack.enter_context(dht(bed))
        writer = stack.enter_context(roaming(bed, "l1", "share", EVERYWHERE, str(PORT), bootstrap))
        key = writer.hear()
        reader = stack.enter_context(roaming(bed, "h2", "follow", EVERYWHERE, key, bootstrap))
        writer.say("at home")
        assert reader.hear() == "at home"
        for router in (3, 1):
            ip(bed, "l1", "link", "del", "lan")
            bed.plug_in("l1", router)
            writer.say(f"behind {router}")
            assert reader.hear() == f"behind {router}"


def kill_sockets(bed: NatBed, host: str) -> None:
    """Take what listens on the port away, as a network manager does; the kernel has to know how."""
    command = bed.command(host, "ss", "--kill", "-lan", "sport", "=", f":{PORT}")
    killed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "LISTEN" in killed


@contextmanager
def names(bed: NatBed, host: str) -> Iterator[Path]:
    """Give a host a file of names of its own, and nobody else to ask for any."""
    place = Path("/etc/netns") / bed.name(host)
    place.mkdir(parents=True)
    hosts, resolver = place / "hosts", place / "resolv.conf"
    try:
        for file in (hosts, resolver):
            file.write_text("")
        yield hosts
    finally:
        for file in (hosts, resolver):
            file.unlink(missing_ok=True)
        place.rmdir()


def test_a_name_that_means_nothing_until_later(worker_id: str) -> None:
    """A laptop that wakes up without a network knows no names either."""
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"rn{os.getpid()}{worker_id[:4]}"))
        bootstrap = stack.enter_context(dht(bed))
        known = stack.enter_context(names(bed, "h1"))
        named = f"dht.test:{bootstrap.rpartition(':')[2]}"
        writer = stack.enter_context(roaming(bed, "h1", "share", EVERYWHERE, str(PORT), named))
        key = writer.hear()
        writer.until_warned(f"no bootstrap node answered: {named}")
        known.write_text(f"{SERVERS[0]} dht.test\n")
        writer.say("online")
        reader = stack.enter_context(roaming(bed, "h2", "follow", EVERYWHERE, key, bootstrap))
        assert reader.hear() == "online"


def test_a_node_on_one_host_is_found_when_host_and_sockets_come_back(worker_id: str) -> None:
    """There is no DHT: it is found by multicast, and must listen on its port again."""
    home = ADDRESSES["h1"]
    with ExitStack() as stack:
        bed = stack.enter_context(NatBed(f"rh{os.getpid()}{worker_id[:4]}"))
        writer = stack.enter_context(roaming(bed, "h1", "share", home, str(PORT)))
        key = writer.hear()
        take(bed, "h1", home)
        give(bed, "h1", "192.168.1.22")
        kill_sockets(bed, "h1")
        writer.say("while it was away")
        ip(bed, "h1", "link", "del", "lan")
        bed.plug_in("h1")
        writer.until_warned(
            f"{home} is on another interface: its multicast is opened anew",
            f"tcp {home}:{PORT} listens again",
        )
        reader = stack.enter_context(roaming(bed, "l1", "follow", EVERYWHERE, key))
        assert reader.hear() == "while it was away"
        writer.say("back")
        assert reader.hear() == "back"
