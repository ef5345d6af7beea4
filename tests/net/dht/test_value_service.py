"""Values on a simulated network from a seed: found, replaced, renewed, gone."""

from __future__ import annotations

import pytest

from net.addresses import Address
from net.dht.codes import Code
from net.dht.core import DhtCore
from net.dht.events import Fetched, Finished
from net.dht.hashing import value_topic
from net.dht.kept_values import MAX_KEPT_VALUES, RENEW_VALUE_AFTER
from net.dht.value_records import VALUE_LIFETIME
from tests.reference.dht_network import UNIX, Network

Node = tuple[DhtCore, Address]


def get(network: Network, node: Node, public_key: bytes, salt: bytes = b"") -> list[bytes]:
    """Every value that is yielded."""
    core, address = node
    number = core.get(public_key, salt, network.now)
    values: list[bytes] = []
    ended = False

    def drain() -> bool:
        nonlocal ended
        while (event := core.next_event()) is not None:
            if isinstance(event, Fetched) and event.operation == number:
                values.append(event.value.value)
            ended |= isinstance(event, Finished) and event.operation == number
        return ended

    network.pump(address)
    network.run(network.now + 60, drain)
    assert ended
    return values


def put(network: Network, node: Node, content: bytes, **options: object) -> Finished:
    core, address = node
    number = core.put(content, network.now, **options)  # type: ignore[arg-type]  # as they are
    return network.finish(address, number)


def test_a_value_is_found_by_all_and_replaced_by_a_newer_one() -> None:
    network = Network(1)
    nodes = network.build(30)
    key = nodes[3][0]._key_pair.public_key
    assert put(network, nodes[3], b"first").stored == 8
    assert get(network, nodes[20], key) == [b"first"]
    put(network, nodes[3], b"other", salt=b"salt")
    assert put(network, nodes[3], b"second").stored == 8
    assert get(network, nodes[11], key)[-1] == b"second"
    assert get(network, nodes[11], key, b"salt") == [b"other"]
    assert get(network, nodes[11], key, b"none") == []
    assert get(network, nodes[3], key)[0] == b"second"  # it has it itself


def test_an_older_number_and_another_than_the_expected_are_refused() -> None:
    network = Network(2)
    nodes = network.build(30)
    key = network.key_pair()
    assert put(network, nodes[3], b"7", key_pair=key, seq=7).stored == 8
    for who in (nodes[3], nodes[4]):
        stale = put(network, who, b"6", key_pair=key, seq=6)
        assert (stale.stored, stale.obstacle) == (
            0,
            "seq 6 is not higher than seq 7, which is held",
        )
        same = put(network, who, b"other", key_pair=key, seq=7)
        assert same.obstacle == "another value with seq 7 is held"
        early = put(network, who, b"9", key_pair=key, seq=9, cas=6)
        assert early.obstacle == "seq 7 is held, and not seq 6, which was to be replaced"
        late = put(network, who, b"9", key_pair=key, seq=9, cas=8)
        assert set(dict(late.refusals)) == {Code.CONFLICT}
        assert get(network, who, key.public_key) == [b"7"]
    assert get(network, nodes[20], key.public_key) == [b"7"]
    assert put(network, nodes[4], b"9", key_pair=key, seq=9, cas=7).stored == 8
    assert get(network, nodes[20], key.public_key)[-1] == b"9"
    fresh = network.key_pair()
    assert put(network, nodes[4], b"1", key_pair=fresh, seq=1, cas=0).stored == 8


def test_of_two_values_with_one_number_put_at_a_time_none_is_said_to_be_higher() -> None:
    network = Network(16)
    nodes = network.build(30)
    key = network.key_pair()
    writers = nodes[3], nodes[12]
    begun = [
        (address, core.put(content, network.now, key_pair=key, seq=7))
        for (core, address), content in zip(writers, (b"one", b"other"), strict=True)
    ]
    for address, _ in begun:
        network.pump(address)
    ends = [network.finish(*one) for one in begun]
    assert all(0 < end.stored < 8 for end in ends)
    assert all(set(dict(end.refusals)) == {Code.RIVAL} for end in ends)
    assert sum(len(core._values._kept) for core, _ in writers) == 0
    again = put(network, nodes[3], b"both", key_pair=key, seq=8, cas=7)
    assert (again.stored, again.refusals, again.obstacle) == (8, (), "")
    assert get(network, nodes[20], key.public_key)[-1] == b"both"


def test_a_holder_that_has_missed_a_value_is_no_conflict() -> None:
    network = Network(8)
    nodes = network.build(12)
    key = network.key_pair()
    put(network, nodes[3], b"3", key_pair=key, seq=3)
    cut_off = next(core for core, _ in nodes[4:] if len(core._responder.values))
    raw = cut_off._responder.values.sample(value_topic(key.public_key, b""), UNIX, 1, network.rng)
    put(network, nodes[3], b"7", key_pair=key, seq=7)
    cut_off._responder.values.expire(UNIX + 2 * VALUE_LIFETIME)
    assert cut_off._responder.values.put(raw[0], "20.0.0.1", UNIX + network.now) is Code.OK
    done = put(network, nodes[3], b"9", key_pair=key, seq=9, cas=7)
    assert (done.stored, done.refusals) == (8, ())


def test_what_is_refused_does_not_end_the_life_of_what_is_held() -> None:
    network = Network(7)
    nodes = network.build(12)
    key = network.key_pair()
    put(network, nodes[3], b"7", key_pair=key, seq=7)
    assert put(network, nodes[3], b"6", key_pair=key, seq=6).obstacle
    assert put(network, nodes[3], b"other", key_pair=key, seq=7).obstacle
    assert put(network, nodes[3], b"9", key_pair=key, seq=9, cas=5).obstacle
    assert put(network, nodes[3], b"9", key_pair=key, seq=9, cas=8).refusals
    network.run(network.now + 2 * VALUE_LIFETIME)
    assert get(network, nodes[7], key.public_key) == [b"7"]


def test_its_owner_renews_it_and_without_its_owner_it_is_gone() -> None:
    network = Network(3)
    nodes = network.build(12)
    key = nodes[3][0]._key_pair.public_key
    put(network, nodes[3], b"kept")
    put(network, nodes[3], b"not kept", salt=b"1", keep=False)
    network.run(network.now + 2 * VALUE_LIFETIME)
    assert get(network, nodes[7], key) == [b"kept"]
    assert get(network, nodes[7], key, b"1") == []
    network.kill(nodes[3][1])
    network.run(network.now + VALUE_LIFETIME + 60)
    assert get(network, nodes[7], key) == []
    assert sum(len(core._responder.values) for core, _ in nodes[:3] + nodes[4:]) == 0


def test_an_owner_whose_machine_has_slept_puts_its_values_anew() -> None:
    network = Network(9)
    nodes = network.build(12)
    core, address = nodes[3]
    key = core._key_pair.public_key
    put(network, nodes[3], b"kept")
    for other, _ in nodes:
        other._time_of_day.offset += 2 * VALUE_LIFETIME
    core._time_of_day.offset -= 2 * VALUE_LIFETIME
    assert get(network, nodes[7], key) == []
    core.set_clock(network.now, network.now + nodes[0][0]._time_of_day.offset)
    network.pump(address)
    network.run(network.now + 2)
    assert get(network, nodes[7], key) == [b"kept"]


def test_what_was_put_alone_is_held_by_the_first_who_comes() -> None:
    network = Network(10)
    alone = network.add(None)
    put(network, alone, b"value")
    other = network.add(alone[1])
    network.run(network.now + 2)
    assert len(other[0]._responder.values) == 1


def test_a_put_that_was_given_up_is_not_made_up_for_later() -> None:
    network = Network(11)
    nodes = network.build(12)
    core, address = nodes[3]
    key = core._key_pair.public_key
    put(network, nodes[3], b"kept")
    for salt in (b"", b"new"):
        core.cancel(core.put(b"given up", network.now, salt=salt), network.now)
        network.pump(address)
    network.run(network.now + 2 * VALUE_LIFETIME)
    assert get(network, nodes[7], key) == [b"kept"]
    assert get(network, nodes[7], key, b"new") == []
    assert len(core._values._kept) == 1


def test_of_two_puts_at_a_time_one_may_be_given_up() -> None:
    network = Network(12)
    nodes = network.build(12)
    core, address = nodes[3]
    key = core._key_pair.public_key
    for given_up in (0, 1):
        numbers = [core.put(b"%d" % n, network.now) for n in range(2)]
        core.cancel(numbers.pop(given_up), network.now)
        network.finish(address, numbers[0])
        assert get(network, nodes[7], key)[-1] == b"%d" % (1 - given_up)
        assert core._values._kept.get(value_topic(key, b"")) is not None


def test_what_is_being_put_counts_for_what_is_put_beside_it() -> None:
    network = Network(13)
    nodes = network.build(12)
    core, address = nodes[3]
    first = core.put(b"one", network.now, seq=5)
    second = put(network, nodes[3], b"another", seq=5)
    assert second.stored == 0
    assert second.obstacle
    assert network.finish(address, first).stored == 8


@pytest.mark.parametrize("older_first", [True, False])
def test_of_two_puts_at_a_time_the_newer_is_kept(older_first: bool) -> None:
    network = Network(14)
    core, _ = network.build(12)[3]
    values, now, unix = core._values, network.now, UNIX + network.now
    older, newer = (
        values.put(b"", now, unix, key_pair=None, salt=b"", seq=seq, cas=None, keep=True)
        for seq in (1, 2)
    )
    for ended in (older, newer) if older_first else (newer, older):
        ended.holders.append(bytes(20))
        values.concluded(ended, now, unix)
    assert values._kept.get(older.target) is newer.value


def test_puts_that_run_count_among_those_that_are_kept() -> None:
    network = Network(15)
    core, _ = network.build(12)[3]
    numbers = [core.put(b"v", network.now, salt=b"%d" % n) for n in range(MAX_KEPT_VALUES)]
    with pytest.raises(ValueError, match="at most 256"):
        core.put(b"v", network.now, salt=b"another")
    core.put(b"v", network.now, salt=b"another", keep=False)
    core.put(b"v", network.now, salt=b"0")
    core.cancel(numbers[-1], network.now)
    core.put(b"v", network.now, salt=b"another")


def test_who_was_overtaken_elsewhere_stops_renewing() -> None:
    network = Network(4)
    nodes = network.build(12)
    key = network.key_pair()
    put(network, nodes[3], b"1", key_pair=key, seq=1)
    put(network, nodes[4], b"2", key_pair=key, seq=2)
    network.run(network.now + 3 * RENEW_VALUE_AFTER)
    assert get(network, nodes[7], key.public_key) == [b"2"]
    assert len(nodes[3][0]._values._kept) == 0
    assert len(nodes[4][0]._values._kept) == 1


def test_a_third_of_the_holders_may_die() -> None:
    network = Network(5)
    nodes = network.build(40)
    key = nodes[1][0]._key_pair.public_key
    put(network, nodes[1], b"value")
    for _, address in nodes[2:14]:
        network.kill(address)
    assert get(network, nodes[30], key) == [b"value"]


def test_one_node_alone_keeps_it_for_those_who_come() -> None:
    network = Network(6)
    alone = network.add(None)
    key = alone[0]._key_pair.public_key
    assert put(network, alone, b"value").stored == 0
    other = network.add(alone[1])
    assert get(network, other, key) == [b"value"]
