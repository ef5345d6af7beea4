'use strict'
// What every script here shares: its arguments, the clock, a directory to work in, one line of JSON.
//
// A script is started as `node <question>.js '{"peer": "hypercore-11", "count": 3000}'`. It warms up
// once, measures `repeat` times, and prints {"peer", "version", "runs", "unit", ...facts}. The median
// is taken by the caller, which treats our own runs in the same way.

const fs = require('fs')
const os = require('os')
const path = require('path')

const scratch = []

function directory () {
  const name = fs.mkdtempSync(path.join(os.tmpdir(), 'feedlog-bench-peer-'))
  scratch.push(name)
  return name
}

process.on('exit', () => {
  for (const name of scratch) fs.rmSync(name, { recursive: true, force: true })
})

function version (peer) {
  // Not require(`${peer}/package.json`): an `exports` map may hide it.
  return JSON.parse(fs.readFileSync(path.join(__dirname, '..', 'node_modules', peer, 'package.json'))).version
}

function seconds (since) {
  return Number(process.hrtime.bigint() - since) / 1e9
}

// Run `work` once unmeasured and then `repeat` times; `work` returns the seconds that count.
async function repeat (times, work) {
  await work(true)
  const runs = []
  for (let i = 0; i < times; i++) runs.push(await work(false))
  return runs
}

async function answer (defaults, measure) {
  const args = Object.assign({ repeat: 3 }, defaults, JSON.parse(process.argv[2] || '{}'))
  const result = await measure(args)
  const line = Object.assign({ peer: args.peer, version: version(args.peer) }, result)
  fs.writeSync(1, JSON.stringify(line) + '\n')
  process.exit(0)
}

module.exports = {
  answer: (defaults, measure) => answer(defaults, measure).catch((error) => {
    console.error(error)
    process.exit(1)
  }),
  clock: () => process.hrtime.bigint(),
  directory,
  repeat,
  seconds
}
