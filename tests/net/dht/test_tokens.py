"""Address tokens."""

from __future__ import annotations

from net.dht.tokens import EPOCH, Tickets, Tokens

HERE = ("1.2.3.4", 5)


def test_good_for_the_address_and_for_one_to_two_epochs() -> None:
    tokens = Tokens(bytes(32))
    token = tokens.give(HERE, 1000.0)
    assert tokens.check(token, HERE, 1000.0)
    assert tokens.check(token, HERE, 1000.0 + EPOCH)
    assert not tokens.check(token, HERE, 1000.0 + 2 * EPOCH)
    assert not tokens.check(token, ("1.2.3.4", 6), 1000.0)
    assert not tokens.check(token, ("1.2.3.5", 5), 1000.0)
    assert not tokens.check(b"", HERE, 1000.0)
    assert not Tokens(b"\x01" * 32).check(token, HERE, 1000.0)


def test_the_first_epoch_has_none_before_it() -> None:
    tokens = Tokens(bytes(32))
    assert tokens.check(tokens.give(HERE, 0.0), HERE, 1.0)


def test_a_ticket_is_good_for_one_holder_and_is_no_token() -> None:
    tickets, tokens = Tickets(bytes(32)), Tokens(bytes(32))
    ticket = tickets.give(HERE)
    assert tickets.check(ticket, HERE)
    assert not tickets.check(ticket, (HERE[0], HERE[1] + 1))
    assert not Tickets(b"1" * 32).check(ticket, HERE)
    assert not tokens.check(ticket, HERE, 0.0)
