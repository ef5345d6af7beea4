'use strict'
// How many bytes on disk does a feed take, once it is closed?

const { execFileSync } = require('child_process')
const { answer, clock, directory, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 1000000, size: 100 }, async ({ peer, count, size }) => {
  const dir = directory()
  const start = clock()
  await kinds[peer].close(await filled(kinds[peer], count, size, dir))
  const spent = seconds(start)
  const allocated = Number(execFileSync('du', ['-s', '-B1', dir]).toString().split('\t')[0])
  return { unit: 'x data', runs: [allocated / (count * size)], bytes: allocated, fillSeconds: spent }
})
