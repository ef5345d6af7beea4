'use strict'
// hypercore 9 and 11 behind one set of verbs, each on its real storage in a directory of its own:
// 9 on random-access-file, 11 on RocksDB. Neither calls fsync on append, so both are "relaxed".

const { directory } = require('./question')

const nine = {
  async open (dir, key, options) {
    const feed = require('hypercore-9')(dir, key, Object.assign({ valueEncoding: 'binary' }, options))
    await call((done) => feed.ready(done))
    return feed
  },
  append: (feed, blocks) => call((done) => feed.append(blocks, done)),
  get: (feed, index) => call((done) => feed.get(index, done)),
  close: (feed) => call((done) => feed.close(done)),
  prove: (feed, index) => call((done) => feed.proof(index, { digest: 0 }, done)),
  replicate: (feed, initiator) => feed.replicate(initiator, { live: true }),
  download: (feed, start, end) => call((done) => feed.download({ start, end }, done)),
  update: (feed, length) => call((done) => feed.update(length, done)),
  sparse: { sparse: true }
}

const eleven = {
  async open (dir, key, options) {
    const Hypercore = require('hypercore-11')
    const core = new Hypercore(dir, key, options)
    await core.ready()
    return core
  },
  append: (core, blocks) => core.append(blocks),
  get: (core, index) => core.get(index),
  close: (core) => core.close(),
  prove: (core, index) => core.proof({
    block: { index, nodes: 0 },
    upgrade: { start: 0, length: core.length }
  }),
  replicate: (core, initiator) => core.replicate(initiator),
  download: (core, start, end) => core.download({ start, end }).done(),
  async update (core, length) {
    while (core.length < length) await core.update({ wait: true })
  },
  sparse: {}
}

function call (start) {
  return new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value))
  })
}

function blocks (count, size) {
  const list = []
  for (let i = 0; i < count; i++) {
    const block = Buffer.alloc(size, i & 255)
    block.writeUInt32LE(i, 0)
    list.push(block)
  }
  return list
}

// A feed with `count` blocks of `size` bytes, appended in batches that hypercore likes.
async function filled (kind, count, size, dir = directory()) {
  const feed = await kind.open(dir)
  for (let done = 0; done < count; done += 10000) {
    await kind.append(feed, blocks(Math.min(10000, count - done), size))
  }
  return feed
}

module.exports = { kinds: { 'hypercore-9': nine, 'hypercore-11': eleven }, blocks, filled }
