"""Peers on the same network find each other by multicast: no DHT, no server, no way out needed.

`discovery.LanDiscovery` is the door. Specified in docs/spec/lan.md.
"""
