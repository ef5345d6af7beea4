'use strict'
// How much memory do the peers take: an idle node, and one that serves a large feed to many?
// `idle` and `serve` print a line when they are ready and stay until they are killed, for the system to
// be asked about them. `fill` makes the feed that `serve` opens, and `follow` is all its followers in one
// process: each downloads random ranges for some seconds; the bytes of all are printed.

const fs = require('fs')
const net = require('net')
const { directory } = require('./lib/question')
const { kinds, blocks } = require('./lib/feeds')

const kind = kinds['hypercore-11']
const RANGE = 16
const BATCH = 256

const say = (value) => fs.writeSync(1, JSON.stringify(value) + '\n')

async function idle () {
  const DHT = require('hyperdht')
  await kind.open(directory())
  const node = new DHT({ bootstrap: [], host: '127.0.0.1' })
  await node.ready()
  say({})
}

async function fill ({ dir, count, size }) {
  const feed = await kind.open(dir)
  for (let done = 0; done < count; done += BATCH) await kind.append(feed, blocks(Math.min(BATCH, count - done), size))
  await kind.close(feed)
}

async function serve ({ dir }) {
  const SecretStream = require('@hyperswarm/secret-stream')
  const feed = await kind.open(dir)
  const server = net.createServer((socket) => {
    const stream = new SecretStream(false, socket)
    stream.on('error', () => {})
    feed.replicate(stream)
  })
  server.listen(0, '127.0.0.1', () => say({ key: feed.key.toString('hex'), port: server.address().port }))
}

async function follow ({ key, port, followers, time, count, size }) {
  const SecretStream = require('@hyperswarm/secret-stream')
  const end = Date.now() + time * 1000
  const one = async () => {
    const feed = await kind.open(directory(), Buffer.from(key, 'hex'))
    const socket = net.connect(port, '127.0.0.1')
    await new Promise((resolve) => socket.once('connect', resolve))
    const stream = new SecretStream(true, socket)
    stream.on('error', () => {})
    feed.replicate(stream)
    await kind.update(feed, 1)
    let came = 0
    feed.on('download', () => { came++ })
    while (Date.now() < end) {
      const start = Math.floor(Math.random() * (count - RANGE + 1))
      await kind.download(feed, start, start + RANGE)
    }
    return came
  }
  const all = await Promise.all(Array.from({ length: followers }, one))
  say(all.reduce((sum, came) => sum + came, 0) * size)
  process.exit(0)
}

const given = JSON.parse(process.argv[2])
const roles = { idle, fill, serve, follow }
roles[given.role](given).catch((error) => {
  console.error(error)
  process.exit(1)
})
