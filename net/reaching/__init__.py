"""How a stream comes about with a peer that was found: dialling, holes, relays, better ways later.

And the other side of it: who may come to us, and how many at once.
"""
