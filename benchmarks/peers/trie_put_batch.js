'use strict'
// How many keys a second can be put in one batch?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, entries } = require('./lib/tries')

answer({ peer: 'hyperbee', count: 10000 }, async ({ peer, count, repeat: times }) => {
  const kind = kinds[peer]
  const list = entries(count)
  const runs = await repeat(times, async () => {
    const db = await kind.open()
    const start = clock()
    await kind.batch(db, list)
    const spent = seconds(start)
    await kind.close(db)
    return spent
  })
  return { unit: 'keys/s', runs: runs.map((spent) => count / spent) }
})
