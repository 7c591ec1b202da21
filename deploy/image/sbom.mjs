// Writes the software bill of materials (SBOM) of the programs as a CycloneDX document to
// standard output: every crate that is compiled into them, and what build.rs fetches from npm.
// Debian's packages are listed in /var/lib/dpkg/status.d of the image.
//
// This is a plain script because the builder has Node anyway. cargo-cyclonedx does not support
// npm and would be two hundred more crates to compile.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const PROGRAMS = ['whoop-api', 'whoop-sync-worker']

const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
const machine = run('rustc', '--version', '--verbose').match(/^host: (.*)$/m)[1]

// Only `cargo tree` considers which features these two programs enable. The other facts about a
// crate come from the metadata and the lock file.
const tree = run('cargo', 'tree', '--locked', '--quiet', '--edges', 'normal', '--prefix', 'none', '--format', '{p}',
  ...PROGRAMS.flatMap(name => ['--package', name]))
const used = new Set(tree.split('\n').filter(Boolean).map(line => {
  const [name, version] = line.split(' ')
  return `${name}@${version.slice(1)}`
}))
const { packages, resolve } = JSON.parse(
  run('cargo', 'metadata', '--locked', '--format-version', '1', '--filter-platform', machine))
const sums = new Map([...readFileSync('Cargo.lock', 'utf8')
  .matchAll(/^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"$/gm)]
  .map(([, name, version, sum]) => [`${name}@${version}`, sum]))

const key = crate => `${crate.name}@${crate.version}`
const reference = crate => `pkg:cargo/${key(crate)}`
const crates = packages.filter(crate => used.has(key(crate)))
const byId = new Map(crates.map(crate => [crate.id, crate]))

const crateComponent = crate => ({
  type: PROGRAMS.includes(crate.name) ? 'application' : 'library',
  'bom-ref': reference(crate),
  name: crate.name,
  version: crate.version,
  purl: reference(crate),
  // Older manifests separate alternative licences with a slash.
  ...(crate.license && { licenses: [{ expression: crate.license.replaceAll('/', ' OR ').replace(/ +/g, ' ') }] }),
  ...(sums.has(key(crate)) && { hashes: [{ alg: 'SHA-256', content: sums.get(key(crate)) }] }),
})

const { packages: locked } = JSON.parse(readFileSync('crates/api/npm/package-lock.json', 'utf8'))
const charts = Object.entries(locked).filter(([path]) => path !== '').map(([path, { version, license, integrity }]) => {
  const name = path.replace(/^.*node_modules\//, '')
  const purl = `pkg:npm/${name}@${version}`
  return {
    type: 'library', 'bom-ref': purl, name, version, purl,
    licenses: [{ expression: license }],
    hashes: [{ alg: 'SHA-512', content: Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex') }],
  }
})

const dependencies = resolve.nodes.filter(node => byId.has(node.id)).map(node => {
  const crate = byId.get(node.id)
  const dependsOn = node.deps
    .filter(({ pkg, dep_kinds }) => byId.has(pkg) && dep_kinds.some(({ kind }) => kind === null))
    .map(({ pkg }) => reference(byId.get(pkg)))
  if (crate.name === 'whoop-api') dependsOn.push(...charts.map(chart => chart.purl))
  return { ref: reference(crate), dependsOn: [...new Set(dependsOn)].sort() }
})

const components = [...crates.map(crateComponent), ...charts].sort((a, b) => (a.purl < b.purl ? -1 : 1))
const service = { type: 'application', 'bom-ref': 'whoop', name: 'whoop', version: crates.find(({ name }) => name === PROGRAMS[0]).version }
dependencies.unshift({ ref: 'whoop', dependsOn: crates.filter(({ name }) => PROGRAMS.includes(name)).map(reference).sort() })

// No time and no random number, so that the same source results in the same document.
const sum = createHash('sha256').update(JSON.stringify(components)).digest('hex')
const serial = sum.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, 'urn:uuid:$1-$2-4$3-8$4-$5')
console.log(JSON.stringify({
  bomFormat: 'CycloneDX', specVersion: '1.6', serialNumber: serial, version: 1,
  metadata: { component: service }, components, dependencies,
}, null, 1))
