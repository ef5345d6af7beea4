'use strict'
// How many round trips does one cold lookup in a remote trie take, with hypertrie's own extension on?
// hypertrie runs on hypercore 9, whose streams go over TCP here.

const fs = require('fs')
const { answer, clock, directory, seconds } = require('./lib/question')
const { entries } = require('./lib/tries')
const { wires } = require('./lib/wire')
const hypertrie = require('hypertrie')

const defaults = { peer: 'hypertrie', role: 'serve', host: '10.77.0.2', count: 10000, gets: 20 }

answer(defaults, async ({ role, host, count, gets, key }) => {
  const call = (start) => new Promise((resolve, reject) => start((error, value) => error ? reject(error) : resolve(value)))
  const serving = role === 'serve'
  const list = entries(count)
  const db = hypertrie(directory(), serving ? null : Buffer.from(key, 'hex'), { sparse: true, extension: true })
  await call((done) => db.ready(done))
  if (serving) {
    await call((done) => db.batch(list.map(([key, value]) => ({ type: 'put', key, value })), done))
    fs.writeSync(1, JSON.stringify({ key: db.key.toString('hex') }) + '\n')
  }
  const socket = await wires.tcp(serving, host)
  const stream = db.replicate(!serving, { live: true })
  stream.on('error', () => {})
  socket.on('error', () => {})
  stream.pipe(socket).pipe(stream)
  if (serving) await new Promise(() => {})
  await call((done) => db.feed.update(count, done))
  // The first lookup pays for meeting the peer; those after it are cold only in what they read.
  await call((done) => db.get(list[count - 1][0], done))
  const spent = []
  for (let i = 0; i < gets; i++) {
    const start = clock()
    const entry = await call((done) => db.get(list[(i * 7919) % count][0], done))
    if (!entry) throw new Error('a key that was put is not found')
    spent.push(seconds(start) * 1000)
  }
  return { unit: 'ms', runs: [spent.sort((a, b) => a - b)[gets >> 1]] }
})
