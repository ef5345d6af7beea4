"""Hole punching: how two hosts behind routers come to exchange datagrams directly.

`classify` says what a host's router does, `messages` is what travels, `puncher` decides what to
send. Whoever runs a `Puncher` brings sockets, a clock and a way to exchange two `Offer`s.
"""
