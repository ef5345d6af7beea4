'use strict'
// How many bytes does one small append hand to the operating system?
// The peers have no durable append, so this counts their relaxed one.

const fs = require('fs')
const { answer, directory } = require('./lib/question')
const { kinds, blocks, filled } = require('./lib/feeds')

function written () {
  return Number(/^wchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))[1])
}

answer({ peer: 'hypercore-11', count: 1000, size: 100, before: 20000 }, async ({ peer, count, size, before }) => {
  const kind = kinds[peer]
  const feed = await filled(kind, before, size, directory())
  const data = blocks(count, size)
  const start = written()
  for (const block of data) await kind.append(feed, block)
  return { unit: 'bytes', runs: [(written() - start) / count] }
})
