"""A database in a feed: a dict with history, listings and proofs."""

from feedlog import Store
from trie import Trie

with Store.memory() as store:
    packages = Trie(store.feed("packages"), order="key", value_codec="json")
    packages["requests/2.32.0"] = {"requires": ["idna", "urllib3"]}
    before = packages.version

    with packages.batch() as batch:  # one write: all of it or nothing
        batch["requests/2.32.1"] = {"requires": ["idna", "urllib3"]}
        batch["idna/3.7"] = {"requires": []}
        del batch["requests/2.32.0"]

    print("all keys:", list(packages))
    print("under a prefix:", list(packages.keys("requests/")))
    print("as it was before:", list(packages.at(before)))
    for change in packages.history():
        print(change.version, change.kind, change.key)
