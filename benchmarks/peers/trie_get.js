'use strict'
// How many keys a second are looked up in a local trie that was just opened, each key once, in random order?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, entries, filled } = require('./lib/tries')

answer({ peer: 'hypertrie', count: 10000 }, async ({ peer, count, repeat: times }) => {
  const kind = kinds[peer]
  const list = entries(count)
  const dir = await filled(kind, list)
  const keys = list.map(([key]) => key)
  let state = 1
  for (let i = keys.length - 1; i > 0; i--) {
    state = (state * 48271) % 2147483647
    const j = state % (i + 1)
    ;[keys[i], keys[j]] = [keys[j], keys[i]]
  }
  const runs = await repeat(times, async () => {
    const db = await kind.open(dir)
    const start = clock()
    for (const key of keys) {
      if (!await kind.get(db, key)) throw new Error('a key that was put is not found')
    }
    const spent = seconds(start)
    await kind.close(db)
    return spent
  })
  return { unit: 'keys/s', runs: runs.map((spent) => count / spent) }
})
