'use strict'
// How fast is a whole feed cloned over an encrypted stream, both ends in one process?
// Asked twice: with many small blocks, and with blocks of 64 KiB.

const { answer, clock, directory, repeat, seconds } = require('./lib/question')
const { kinds, filled } = require('./lib/feeds')

answer({ peer: 'hypercore-11', count: 42000, size: 100 }, async ({ peer, count, size, repeat: times }) => {
  const kind = kinds[peer]
  const source = await filled(kind, count, size)
  const runs = await repeat(times, async () => {
    const copy = await kind.open(directory(), source.key)
    const start = clock()
    const near = kind.replicate(source, true)
    const far = kind.replicate(copy, false)
    near.on('error', () => {})
    far.on('error', () => {})
    near.pipe(far).pipe(near)
    await kind.update(copy, count)
    await kind.download(copy, 0, count)
    const spent = seconds(start)
    if (copy.length !== count) throw new Error(`cloned ${copy.length} of ${count} blocks`)
    near.destroy()
    far.destroy()
    await kind.close(copy)
    return spent
  })
  return { unit: 'blocks/s', runs: runs.map((spent) => count / spent) }
})
