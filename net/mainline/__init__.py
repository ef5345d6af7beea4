"""The BitTorrent Mainline DHT as a way to find peers: needs `pip install feedlog[mainline]`.

`discovery.MainlineDiscovery` is the door. Specified in docs/spec/mainline.md.
"""
