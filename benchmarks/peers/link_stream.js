'use strict'
// How many bytes a second does one stream carry over a link with delay and loss?
// `{"role": "serve"}` sends to whoever connects until it is killed; `{"role": "receive"}` measures.
// Counting begins after `settle` seconds: the question is the rate that a long transfer reaches.

const fs = require('fs')
const { answer, clock, seconds } = require('./lib/question')
const { wires } = require('./lib/wire')

const defaults = { peer: 'udx-native', wire: 'udx', role: 'serve', host: '10.77.0.2', settle: 2, measure: 6 }

answer(defaults, async ({ wire, role, host, settle, measure }) => {
  const serving = role === 'serve'
  if (serving) fs.writeSync(1, JSON.stringify({ key: '' }) + '\n')
  const stream = await wires[wire](serving, host)
  stream.on('error', () => process.exit(serving ? 0 : 1))
  if (serving) {
    await new Promise((resolve) => stream.once('data', resolve))
    const chunk = Buffer.alloc(65536)
    for (;;) {
      if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve))
    }
  }
  let received = 0
  stream.on('data', (data) => { received += data.byteLength })
  stream.write(Buffer.from('go'))
  await new Promise((resolve) => setTimeout(resolve, settle * 1000))
  const start = clock()
  const before = received
  await new Promise((resolve) => setTimeout(resolve, measure * 1000))
  return { unit: 'MB/s', runs: [(received - before) / seconds(start) / 1e6] }
})
