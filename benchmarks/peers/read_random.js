'use strict'
// How many blocks a second can be read from disk at random places, one after another?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 20000, size: 100, reads: 20000 }, async ({ peer, count, size, reads, repeat: times }) => {
  const kind = kinds[peer]
  const feed = await filled(kind, count, size)
  const runs = await repeat(times, async () => {
    let state = 1
    const start = clock()
    for (let i = 0; i < reads; i++) {
      state = (state * 48271) % 2147483647
      await kind.get(feed, state % count)
    }
    return seconds(start)
  })
  return { unit: 'blocks/s', runs: runs.map((spent) => reads / spent) }
})
