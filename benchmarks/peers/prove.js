'use strict'
// How many proofs of one block with an upgrade from nothing can be made a second?

const { answer, clock, repeat, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 20000, size: 100, proofs: 3000 }, async ({ peer, count, size, proofs, repeat: times }) => {
  const kind = kinds[peer]
  const feed = await filled(kind, count, size)
  const runs = await repeat(times, async () => {
    let state = 1
    const start = clock()
    for (let i = 0; i < proofs; i++) {
      state = (state * 48271) % 2147483647
      const index = state % count
      // hypercore 9 leaves the block out of the proof object: its sender reads it next.
      const proof = await kind.prove(feed, index)
      if (!proof.block && !proof.value) await kind.get(feed, index)
    }
    return seconds(start)
  })
  return { unit: 'proofs/s', runs: runs.map((spent) => proofs / spent) }
})
