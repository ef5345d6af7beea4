'use strict'
// How long does connecting by public key take on loopback, in a DHT of ten nodes?
// The connecting node is warm: it has joined the network, and it has not seen the listener before.

const { answer, clock, repeat, seconds } = require('./lib/question')
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')

answer({ peer: 'hyperdht', nodes: 10, connects: 20 }, async ({ nodes, connects, repeat: times }) => {
  const testnet = await createTestnet(nodes)
  const runs = await repeat(times, async () => {
    const spent = []
    for (let i = 0; i < connects; i++) {
      const listening = testnet.createNode()
      const server = listening.createServer((socket) => socket.on('error', () => {}).end())
      await server.listen(DHT.keyPair())
      const dialling = testnet.createNode()
      await dialling.fullyBootstrapped()
      const start = clock()
      const socket = dialling.connect(server.publicKey)
      await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
      spent.push(seconds(start))
      socket.destroy()
      await Promise.all([listening.destroy({ force: true }), dialling.destroy({ force: true })])
    }
    return spent.sort((a, b) => a - b)[spent.length >> 1]
  })
  return { unit: 'ms', runs: runs.map((spent) => spent * 1000) }
})
