// Five languages say the same things: the same keys, the same places to fill in, nothing empty.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LANGUAGES = ['de', 'es', 'fr', 'it'];
const FOLDERS = [
  ['extensions/thank-you/locales', ''],
  ['extensions/storefront/locales', ''],
  ['extensions/storefront/locales', '.schema'],
];

export function locales() {
  const problems = [];
  for (const [folder, kind] of FOLDERS) {
    const read = (name) => flat(JSON.parse(readFileSync(join(folder, name), 'utf8')));
    const english = read(`en.default${kind}.json`);
    for (const [key, text] of english) {
      if (text.trim() === '') problems.push(`${folder}: ${key} is empty in English.`);
    }
    for (const language of LANGUAGES) {
      const name = `${language}${kind}.json`;
      if (!readdirSync(folder).includes(name)) {
        problems.push(`${folder} has no ${name}.`);
        continue;
      }
      const translated = read(name);
      for (const [key, text] of english) {
        const theirs = translated.get(key);
        if (theirs === undefined || theirs.trim() === '') problems.push(`${folder}/${name} lacks ${key}.`);
        else if (places(theirs) !== places(text)) problems.push(`${folder}/${name}: ${key} fills in other places than the English.`);
      }
      for (const key of translated.keys()) {
        if (!english.has(key)) problems.push(`${folder}/${name} has ${key}, which the English has not.`);
      }
    }
  }
  return problems;
}

/** `{"a":{"b":"x"}}` as `a.b` → `x`. */
export function flat(tree, before = '') {
  return new Map(
    Object.entries(tree).flatMap(([key, value]) =>
      typeof value === 'string' ? [[`${before}${key}`, value]] : [...flat(value, `${before}${key}.`)],
    ),
  );
}

function places(text) {
  return [...text.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, name]) => name).sort().join(' ');
}
