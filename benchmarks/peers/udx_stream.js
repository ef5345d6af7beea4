'use strict'
// How many bytes a second go through one bare UDX stream on loopback, both ends in one process?
// No encryption: this is what hyperdht's streams are made of.

const { answer, clock, repeat, seconds } = require('./lib/question')
const UDX = require('udx-native')

answer({ peer: 'udx-native', bytes: 100e6 }, async ({ bytes, repeat: times }) => {
  const runs = await repeat(times, async () => {
    const udx = new UDX()
    const near = udx.createSocket()
    const far = udx.createSocket()
    near.bind(0, '127.0.0.1')
    far.bind(0, '127.0.0.1')
    const sending = udx.createStream(1)
    const receiving = udx.createStream(2)
    sending.connect(near, 2, far.address().port, '127.0.0.1')
    receiving.connect(far, 1, near.address().port, '127.0.0.1')
    let received = 0
    const whole = new Promise((resolve) => receiving.on('data', (data) => {
      received += data.byteLength
      if (received >= bytes) resolve()
    }))
    for (const stream of [sending, receiving]) stream.on('error', () => {})
    const chunk = Buffer.alloc(65536)
    const start = clock()
    for (let sent = 0; sent < bytes; sent += chunk.byteLength) {
      if (!sending.write(chunk)) await new Promise((resolve) => sending.once('drain', resolve))
    }
    await whole
    const spent = seconds(start)
    sending.destroy()
    receiving.destroy()
    await Promise.all([near.close(), far.close()])
    return spent
  })
  return { unit: 'MB/s', runs: runs.map((spent) => bytes / spent / 1e6) }
})
