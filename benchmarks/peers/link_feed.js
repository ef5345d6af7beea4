'use strict'
// How fast is a feed cloned over a link with delay and loss? One end a process, each in its own namespace.
// `{"role": "serve"}` prints the key and serves until it is killed; `{"role": "clone", "key": ...}` measures.

const fs = require('fs')
const { answer, clock, directory, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')
const { wires } = require('./lib/wire')

const defaults = { peer: 'hypercore-11', wire: 'udx', role: 'serve', host: '10.77.0.2', count: 10000, size: 1024 }

answer(defaults, async ({ peer, wire, role, host, count, size, key }) => {
  const SecretStream = require('@hyperswarm/secret-stream')
  const kind = kinds[peer]
  const serving = role === 'serve'
  const feed = serving ? await filled(kind, count, size) : await kind.open(directory(), Buffer.from(key, 'hex'))
  if (serving) fs.writeSync(1, JSON.stringify({ key: feed.key.toString('hex') }) + '\n')
  const stream = new SecretStream(!serving, await wires[wire](serving, host))
  stream.on('error', () => {})
  feed.replicate(stream)
  if (serving) await new Promise(() => {})
  await stream.opened
  await kind.update(feed, 1)
  const start = clock()
  await kind.download(feed, 0, count)
  const spent = seconds(start)
  return { unit: 'blocks/s', runs: [count / spent], rtt: stream.rawStream.rtt || null }
})
