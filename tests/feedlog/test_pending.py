import pytest

from feedlog import NotWritable, Store


def test_a_transaction_sees_what_it_wrote_and_others_do_not() -> None:
    with Store.memory() as store:
        feed = store.feed("a")
        feed.append(b"one")
        with feed.transaction() as pending:
            assert (pending.length, pending[0]) == (1, b"one")
            feed.append(b"two")
            assert (pending.length, pending[1], feed.length) == (2, b"two", 1)
        assert list(feed) == [b"one", b"two"]


def test_an_error_leaves_nothing_of_the_transaction() -> None:
    with Store.memory() as store:
        feed = store.feed("a")

        def change_my_mind() -> None:
            with feed.transaction():
                feed.append(b"one")
                raise RuntimeError("no, rather not")

        with pytest.raises(RuntimeError):
            change_my_mind()
        assert feed.length == 0


def test_a_transaction_joins_the_one_around_it() -> None:
    with Store.memory() as store:
        feed, other = store.feed("a"), store.feed("b")
        with store.transaction(), feed.transaction() as pending:
            feed.append(b"one")
            other.append(b"two")
            assert pending.length == 1
        assert (feed.length, other.length) == (1, 1)


def test_a_replica_has_nothing_to_append_in_it() -> None:
    with Store.memory() as store, Store.memory() as elsewhere:
        copy = elsewhere.feed(key=store.feed("a").key)
        with pytest.raises(NotWritable), copy.transaction():
            copy.append(b"forged")
