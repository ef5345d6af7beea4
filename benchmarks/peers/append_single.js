'use strict'
// How many blocks a second can be appended, each in an append of its own that is waited for?

const { answer, clock, directory, repeat, seconds } = require('./lib/question')
const { kinds, blocks } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 3000, size: 100 }, async ({ peer, count, size, repeat: times }) => {
  const kind = kinds[peer]
  const data = blocks(count, size)
  const runs = await repeat(times, async () => {
    const feed = await kind.open(directory())
    const start = clock()
    for (const block of data) await kind.append(feed, block)
    const spent = seconds(start)
    await kind.close(feed)
    return spent
  })
  return { unit: 'blocks/s', runs: runs.map((spent) => count / spent) }
})
