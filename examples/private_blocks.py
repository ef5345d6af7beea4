"""Blocks that others can hold, prove and pass on, but not read."""

from secrets import token_bytes

from feedlog import Store

secret = token_bytes(32)  # goes to readers, by another way than the feed's key

with Store.memory() as mine, Store.memory() as mirror, Store.memory() as reader:
    diary = mine.feed("diary", encryption_key=secret)
    diary.append(b"nobody's business")

    copy = mirror.feed(key=diary.key)
    copy.apply(diary.prove(blocks=[0]))
    print("the mirror holds", len(copy[0]), "bytes of noise")

    friend = reader.feed(key=diary.key, encryption_key=secret)
    friend.apply(copy.prove(blocks=[0]))  # from the mirror, and yet the writer's
    print("the friend reads", friend[0])
