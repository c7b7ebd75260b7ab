// The block on the thank-you page runs at Shopify's and has to know where the app is: the address
// in shopify.app.toml. `node extensions/checks/address.mjs` copies it from there.
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const COPY = 'extensions/thank-you/address.json';

function ours() {
  const toml = readFileSync('shopify.app.toml', 'utf8');
  const [, address] = /^application_url = "(https:\/\/[^"]+?)\/?"$/m.exec(toml) ?? [];
  return address;
}

export function address() {
  const { address: copied } = JSON.parse(readFileSync(COPY, 'utf8'));
  const address = ours();
  if (address === undefined) return ['shopify.app.toml has no https application_url.'];
  if (copied === address) return [];
  return [`${COPY} says ${copied}, shopify.app.toml says ${address}. Run npm run address.`];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(COPY, `{ "address": "${ours()}" }\n`);
}
