from __future__ import annotations

from net.carriers.hashing import certificate_binding, retry_mac

SECRET = bytes(32)


def test_a_binding_is_the_sha256_of_the_certificate() -> None:
    assert certificate_binding(b"abc").hex().startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_retry_mac_depends_on_every_part_and_on_where_one_ends() -> None:
    made = {
        retry_mac(SECRET, 1, b"address", b"source", b"original"),
        retry_mac(bytes([1]) * 32, 1, b"address", b"source", b"original"),
        retry_mac(SECRET, 2, b"address", b"source", b"original"),
        retry_mac(SECRET, 1, b"addresS", b"source", b"original"),
        retry_mac(SECRET, 1, b"address", b"sourceo", b"riginal"),
        retry_mac(SECRET, 1, b"addresss", b"ource", b"original"),
    }
    assert len(made) == 6
    assert {len(mac) for mac in made} == {16}
