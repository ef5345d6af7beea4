'use strict'
// How fast is a feed cloned over a link with delay and loss? One end a process, each in its own namespace.
// `{"role": "serve"}` prints the key and serves until it is killed; `{"role": "clone", "key": ...}` measures,
// for `limit` seconds at most: what came until then counts, and the answer says that it was stopped.

const fs = require('fs')
const { answer, clock, directory, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')
const { wires } = require('./lib/wire')

const defaults = {
  peer: 'hypercore-11', wire: 'udx', role: 'serve', host: '10.77.0.2', count: 10000, size: 1024, limit: 300
}

answer(defaults, async ({ peer, wire, role, host, count, size, key, limit }) => {
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
  let came = 0
  feed.on('download', () => { came++ })
  const start = clock()
  const stopped = await Promise.race([
    kind.download(feed, 0, count).then(() => false),
    new Promise((resolve) => setTimeout(resolve, limit * 1000, true))
  ])
  const spent = seconds(start)
  const rate = (stopped ? came : count) * size / spent / 1e6
  return Object.assign({ unit: 'MB/s', runs: [rate], rtt: stream.rawStream.rtt || null }, stopped ? { stopped: limit } : {})
})
