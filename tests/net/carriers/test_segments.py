"""Bursts, with the kernel's help and without it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.carriers.segments import MAX_BURST, MAX_SEGMENTS, Burst, SegmentingSocket, bursts

HERE = ("127.0.0.1", 0)


@pytest.fixture(params=[True, False], ids=["offloaded", "one by one"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[SegmentingSocket, SegmentingSocket]]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in sockets:
        sock.bind(HERE)
        sock.settimeout(10)
    left, right = (SegmentingSocket(sock, offload=request.param) for sock in sockets)
    yield left, right
    for sock in sockets:
        sock.close()


def receive(sock: SegmentingSocket, count: int) -> list[bytes]:
    got: list[bytes] = []
    while len(got) < count:
        got += sock.receive().datagrams()
    return got


@given(st.lists(st.binary(max_size=3).map(lambda b: b * 500), max_size=200))
def test_bursts_keep_every_datagram_in_order(datagrams: list[bytes]) -> None:
    cut = list(bursts(datagrams))
    assert [d for burst in cut for d in burst] == datagrams
    for burst in cut:
        assert 1 <= len(burst) <= MAX_SEGMENTS
        assert sum(map(len, burst)) <= MAX_BURST
        assert all(len(d) == len(burst[0]) for d in burst[:-1])
        assert len(burst[-1]) <= len(burst[0])


def test_a_burst_can_be_as_long_as_one_send_may_be() -> None:
    assert [len(b) for b in bursts([bytes(1200)] * 100)] == [54, 46]
    assert [len(b) for b in bursts([bytes(10)] * 100)] == [64, 36]
    assert [len(b) for b in bursts([bytes(65_507)] * 2)] == [1, 1]


def test_what_is_sent_arrives(pair: tuple[SegmentingSocket, SegmentingSocket]) -> None:
    left, right = pair
    datagrams = [bytes([n]) * 1200 for n in range(40)] + [b"short"]
    sent = 0
    while sent < len(datagrams):
        sent += left.send(datagrams[sent:], right.socket.getsockname())
    assert receive(right, len(datagrams)) == datagrams


def test_an_empty_datagram_is_one(pair: tuple[SegmentingSocket, SegmentingSocket]) -> None:
    left, right = pair
    left.send([b""], right.socket.getsockname())
    assert right.receive() == Burst(b"", 0, left.socket.getsockname())
    assert Burst(b"", 0, HERE).datagrams() == [b""]


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_a_path_that_takes_no_bursts_gets_datagrams(code: int) -> None:
    class Refusing:
        """A socket over a device without checksums."""

        def __init__(self) -> None:
            self.sent: list[bytes] = []

        def setsockopt(self, *_: object) -> None: ...

        def sendmsg(self, *_: object) -> int:
            raise OSError(code, "refused")

        def sendto(self, data: bytes, _: object) -> None:
            self.sent.append(data)

    refusing = Refusing()
    sock = SegmentingSocket(refusing)  # type: ignore[arg-type]  # as much of a socket as is used
    assert sock.send([b"a", b"b"], HERE) == 1
    assert sock.send([b"b", b"c"], HERE) == 1
    assert refusing.sent == [b"a", b"b"]
    assert not sock.sends_bursts


def test_a_lane_gets_what_comes_from_one_address(
    pair: tuple[SegmentingSocket, SegmentingSocket],
) -> None:
    left, right = pair
    here = right.socket.getsockname()
    lane = right.lane(left.socket.getsockname())
    assert lane is not None
    with lane.socket, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        left.send([b"from left"], here)
        other.sendto(b"from another", here)
        lane.socket.settimeout(10)
        assert receive(lane, 1) == [b"from left"]
        assert receive(right, 1) == [b"from another"]
    left.send([b"again"], here)
    assert receive(right, 1) == [b"again"]


def test_no_lane_to_nowhere(pair: tuple[SegmentingSocket, SegmentingSocket]) -> None:
    assert pair[0].lane(("::1", 1)) is None


def test_no_lane_without_a_file_to_open(
    pair: tuple[SegmentingSocket, SegmentingSocket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", none_left)
        assert pair[0].lane(("127.0.0.1", 1)) is None


def test_a_lane_of_ipv6() -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as main,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as friend,
    ):
        for sock in (main, friend):
            sock.bind(("::1", 0))
        lane = SegmentingSocket(main).lane(friend.getsockname()[:2])
        assert lane is not None
        with lane.socket:
            friend.sendto(b"hello", main.getsockname())
            lane.socket.settimeout(10)
            assert receive(lane, 1) == [b"hello"]
