'use strict'
// How many blocks a second does a sparse reader get, asking for one after another with no read-ahead?

const { answer, clock, directory, repeat, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 20000, size: 100, reads: 2000 }, async ({ peer, count, size, reads, repeat: times }) => {
  const kind = kinds[peer]
  const source = await filled(kind, count, size)
  const runs = await repeat(times, async () => {
    const copy = await kind.open(directory(), source.key, kind.sparse)
    const near = kind.replicate(source, true)
    const far = kind.replicate(copy, false)
    near.on('error', () => {})
    far.on('error', () => {})
    near.pipe(far).pipe(near)
    await kind.update(copy, count)
    const stride = Math.floor(count / reads)
    const start = clock()
    for (let i = 0; i < reads; i++) await kind.get(copy, i * stride)
    const spent = seconds(start)
    near.destroy()
    far.destroy()
    await kind.close(copy)
    return spent
  })
  return { unit: 'blocks/s', runs: runs.map((spent) => reads / spent) }
})
