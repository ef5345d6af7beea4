'use strict'
// How many entries a second does an iteration over everything yield, in a trie that was just opened?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, entries, filled } = require('./lib/tries')

answer({ peer: 'hyperbee', count: 10000 }, async ({ peer, count, repeat: times }) => {
  const kind = kinds[peer]
  const dir = await filled(kind, entries(count))
  const runs = await repeat(times, async () => {
    const db = await kind.open(dir)
    const start = clock()
    const found = await kind.count(db)
    if (found !== count) throw new Error(`found ${found} of ${count} entries`)
    const spent = seconds(start)
    await kind.close(db)
    return spent
  })
  return { unit: 'entries/s', runs: runs.map((spent) => count / spent) }
})
