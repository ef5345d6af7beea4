'use strict'
// How long does opening a large feed and reading its last block take, and how much memory?
// The feed is written by a process of its own, so that opening starts with cold caches of the library.

const { execFileSync } = require('child_process')
const { answer, clock, directory, repeat, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 1000000, size: 16, dir: null }, async ({ peer, count, size, dir, repeat: times }) => {
  const kind = kinds[peer]
  if (dir) {
    await kind.close(await filled(kind, count, size, dir))
    return {}
  }
  dir = directory()
  execFileSync(process.execPath, [__filename, JSON.stringify({ peer, count, size, dir })])
  const before = process.memoryUsage.rss()
  let rss = 0
  const runs = await repeat(times, async () => {
    const start = clock()
    const feed = await kind.open(dir)
    const block = await kind.get(feed, count - 1)
    const spent = seconds(start)
    if (feed.length !== count || block.length !== size) throw new Error('the feed is not whole')
    rss = Math.max(rss, process.memoryUsage.rss())
    await kind.close(feed)
    return spent
  })
  return { unit: 'ms', runs: runs.map((spent) => spent * 1000), rss, rssBefore: before }
})
