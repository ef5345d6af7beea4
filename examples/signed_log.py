"""A signed log: append, read, and find it again after a restart."""

import tempfile

from feedlog import Store

with tempfile.TemporaryDirectory() as place:
    with Store(place) as store:
        feed = store.feed("news")
        feed.append(b"first")
        feed.extend([b"second", b"third"])  # one signed head for both
        print("key:", feed.id)
        print("blocks:", list(feed))

    with Store(place) as store:  # as after a restart: the same key, the same blocks
        feed = store.feed("news")
        print("last:", feed[-1])
        print("length:", len(feed), "bytes:", feed.byte_length)
        print("what the writer signed:", feed.root_hash().hex())
