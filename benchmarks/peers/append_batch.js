'use strict'
// How many blocks a second can be appended in one batch?

const { answer, clock, directory, repeat, seconds } = require('./lib/question')
const { kinds, blocks } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 20000, size: 100 }, async ({ peer, count, size, repeat: times }) => {
  const kind = kinds[peer]
  const data = blocks(count, size)
  const runs = await repeat(times, async () => {
    const feed = await kind.open(directory())
    const start = clock()
    await kind.append(feed, data)
    const spent = seconds(start)
    await kind.close(feed)
    return spent
  })
  return { unit: 'blocks/s', runs: runs.map((spent) => count / spent) }
})
