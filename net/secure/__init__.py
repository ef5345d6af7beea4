"""One encrypted stream to one peer, over any carrier, and its move from one carrier to another.

Noise records (`net.noise`) over a carrier (`net.carriers`) with the face of an asyncio stream.
"""
