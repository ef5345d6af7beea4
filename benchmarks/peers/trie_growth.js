'use strict'
// What do the operations of a trie of `count` keys cost? Filled in batches, as on our side; then keys are
// looked up by a reader that was just opened, and more are put one at a time.

const { execFileSync } = require('child_process')
const { answer, clock, directory, seconds } = require('./lib/question')
const { kinds, entries } = require('./lib/tries')

const BATCH = 10000
const SAMPLE = 50
const PUTS = 500

// Counts the blocks that are read of this feed, and of any other of its class.
function counting (feed) {
  const Feed = feed.constructor
  const get = Feed.prototype.get
  const read = new Set()
  Feed.prototype.get = function (index, ...rest) {
    read.add(index)
    return get.call(this, index, ...rest)
  }
  return read
}

const feedOf = (db) => db.feed || db.core

answer({ peer: 'hypertrie', count: 1000 }, async ({ peer, count }) => {
  const kind = kinds[peer]
  const dir = directory()
  const list = entries(count)
  let db = await kind.open(dir)
  let start = clock()
  for (let at = 0; at < count; at += BATCH) await kind.batch(db, list.slice(at, at + BATCH))
  const batched = count / seconds(start)
  const read = counting(feedOf(db))
  await kind.close(db)
  const space = Number(execFileSync('du', ['-s', '-B1', dir]).toString().split('\t')[0]) / count

  const keys = []
  let state = 1
  for (let i = 0; i < Math.min(count, 5000); i++) {
    state = (state * 48271) % 2147483647
    keys.push(list[state % count][0])
  }
  let blocks = 0
  for (const key of keys.slice(0, SAMPLE)) {
    db = await kind.open(dir)
    read.clear()
    if (!await kind.get(db, key)) throw new Error('a key that was put is not found')
    blocks += read.size
    await kind.close(db)
  }

  db = await kind.open(dir)
  start = clock()
  for (const key of keys) await kind.get(db, key)
  const got = keys.length / seconds(start)
  const before = feedOf(db).byteLength
  start = clock()
  for (const [key, value] of entries(count + PUTS).slice(count)) await kind.put(db, key, value)
  const put = PUTS / seconds(start)
  const written = (feedOf(db).byteLength - before) / PUTS
  await kind.close(db)
  return {
    unit: 'blocks',
    runs: [blocks / SAMPLE],
    'bytes of a block written by a put': written,
    get: got,
    'put one at a time': put,
    'put in batches': batched,
    'disk space per key': space
  }
})
