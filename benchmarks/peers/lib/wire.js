'use strict'
// One raw stream between two machines, over UDX (the peers' own UDP transport) or over TCP.
// Both ends know the other's address beforehand, so no DHT takes part.

const net = require('net')
const PORT = 4977

async function udx (listening, host) {
  const UDX = require('udx-native')
  const node = new UDX()
  const socket = node.createSocket()
  socket.bind(PORT)
  const stream = node.createStream(listening ? 1 : 2)
  stream.connect(socket, listening ? 2 : 1, PORT, host)
  return stream
}

function tcp (listening, host) {
  if (!listening) {
    return new Promise((resolve, reject) => {
      const socket = net.connect(PORT, host, () => resolve(socket.setNoDelay()))
      socket.on('error', reject)
    })
  }
  return new Promise((resolve) => net.createServer((socket) => resolve(socket.setNoDelay())).listen(PORT))
}

module.exports = { wires: { udx, tcp } }
