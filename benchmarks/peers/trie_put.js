'use strict'
// How many keys a second can be put, one at a time, each waited for?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, entries } = require('./lib/tries')

answer({ peer: 'hypertrie', count: 5000 }, async ({ peer, count, repeat: times }) => {
  const kind = kinds[peer]
  const list = entries(count)
  const runs = await repeat(times, async () => {
    const db = await kind.open()
    const start = clock()
    for (const [key, value] of list) await kind.put(db, key, value)
    const spent = seconds(start)
    await kind.close(db)
    return spent
  })
  return { unit: 'keys/s', runs: runs.map((spent) => count / spent) }
})
