'use strict'
// How many bytes a second go through one encrypted stream over UDP on loopback, both ends in one process?

const { answer, clock, repeat, seconds } = require('./lib/question')
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')

answer({ peer: 'hyperdht', bytes: 100e6, nodes: 3 }, async ({ bytes, nodes, repeat: times }) => {
  const testnet = await createTestnet(nodes)
  const runs = await repeat(times, async () => {
    const listening = testnet.createNode()
    let received = 0
    const server = listening.createServer()
    const whole = new Promise((resolve) => server.on('connection', (socket) => {
      socket.on('error', () => {})
      socket.on('data', (data) => {
        received += data.byteLength
        if (received >= bytes) resolve()
      })
    }))
    await server.listen(DHT.keyPair())
    const dialling = testnet.createNode()
    const socket = dialling.connect(server.publicKey)
    socket.on('error', () => {})
    await socket.opened
    const chunk = Buffer.alloc(65536)
    const start = clock()
    for (let sent = 0; sent < bytes; sent += chunk.byteLength) {
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    await whole
    const spent = seconds(start)
    socket.destroy()
    await Promise.all([listening.destroy({ force: true }), dialling.destroy({ force: true })])
    return spent
  })
  return { unit: 'MB/s', runs: runs.map((spent) => bytes / spent / 1e6) }
})
