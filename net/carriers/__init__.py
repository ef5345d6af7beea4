"""Ways for bytes to travel between two peers, behind one small interface."""

from net.carriers.base import Carrier, Receiver
from net.carriers.memory import memory_pair
from net.carriers.tcp import connect_tcp
from net.carriers.tcp_listener import TcpListener, listen_tcp

__all__ = ["Carrier", "Receiver", "TcpListener", "connect_tcp", "listen_tcp", "memory_pair"]
