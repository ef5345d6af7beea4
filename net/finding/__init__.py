"""Where peers are: all ways of finding them as one, and announcing that we are here.

The ways are folders of their own: `net.dht`, `net.lan`, `net.mainline`, `net.relay`.
"""
