'use strict'
// hypertrie 5 (on hypercore 9) and hyperbee 2 (on hypercore 11) behind one set of verbs, on their real storage.

const { directory } = require('./question')

const trie = {
  async open (dir = directory()) {
    const db = require('hypertrie')(dir)
    await call((done) => db.ready(done))
    return db
  },
  put: (db, key, value) => call((done) => db.put(key, value, done)),
  batch: (db, entries) => call((done) => db.batch(entries.map(([key, value]) => ({ type: 'put', key, value })), done)),
  get: (db, key) => call((done) => db.get(key, done)),
  async count (db) {
    const iterator = db.iterator('')
    let found = 0
    while (await call((done) => iterator.next(done))) found++
    return found
  },
  close: (db) => call((done) => db.feed.close(done))
}

const bee = {
  async open (dir = directory()) {
    const Hypercore = require('hypercore-11')
    const Hyperbee = require('hyperbee')
    const db = new Hyperbee(new Hypercore(dir), { keyEncoding: 'utf-8', valueEncoding: 'binary' })
    await db.ready()
    return db
  },
  put: (db, key, value) => db.put(key, value),
  async batch (db, entries) {
    const batch = db.batch()
    for (const [key, value] of entries) await batch.put(key, value)
    await batch.flush()
  },
  get: (db, key) => db.get(key),
  async count (db) {
    let found = 0
    for await (const entry of db.createReadStream()) found += entry ? 1 : 0
    return found
  },
  close: (db) => db.close()
}

function call (start) {
  return new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value))
  })
}

// The same keys that our side uses: `pkg/<number>/<version>`, values of 32 bytes.
function entries (count) {
  const list = []
  for (let i = 0; i < count; i++) list.push([`pkg/${i}/1.0.${i % 10}`, Buffer.alloc(32, i & 255)])
  return list
}

// A directory that holds a closed trie of `list`, so that a reader starts with cold caches.
async function filled (kind, list) {
  const dir = directory()
  const db = await kind.open(dir)
  await kind.batch(db, list)
  await kind.close(db)
  return dir
}

module.exports = { kinds: { hypertrie: trie, hyperbee: bee }, entries, filled }
