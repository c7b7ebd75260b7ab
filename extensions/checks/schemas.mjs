// What neither theme check nor the build looks into: the `{% schema %}` of each block.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { flat } from './locales.mjs';

const THEME = 'extensions/storefront';
const TARGETS = ['section', 'head', 'compliance_head', 'body'];
/** As Shopify documents them; the value says which members the type demands beside id and label. */
const TYPES = {
  checkbox: [], color: [], image_picker: [], text: [], textarea: [], url: [],
  number: [], radio: ['options'], select: ['options'], range: ['min', 'max', 'step', 'default'],
};
const TEMPLATES = ['article', 'blog', 'cart', 'collection', 'index', 'page', 'product', 'search'];
const LONGEST_NAME = 25;

export function schemas() {
  const problems = [];
  const english = (kind) => flat(JSON.parse(readFileSync(join(THEME, `locales/${kind}.json`), 'utf8')));
  const words = english('en.default.schema');
  const shown = english('en.default');
  for (const file of readdirSync(join(THEME, 'blocks'))) {
    const problem = (text) => problems.push(`blocks/${file}: ${text}`);
    const text = readFileSync(join(THEME, 'blocks', file), 'utf8');
    const [, body] = /\{%-?\s*schema\s*-?%\}([\s\S]*?)\{%-?\s*endschema\s*-?%\}/.exec(text) ?? [];
    if (body === undefined) {
      problem('there is no schema.');
      continue;
    }
    const schema = JSON.parse(body);
    for (const key of translated(schema)) {
      if (!words.has(key)) problem(`${key} is not in en.default.schema.json.`);
    }
    for (const language of ['en.default', 'de', 'es', 'fr', 'it']) {
      const own = english(`${language}.schema`);
      const name = String(schema.name).startsWith('t:') ? own.get(schema.name.slice(2)) : schema.name;
      if (!name || name.length > LONGEST_NAME) problem(`its name in ${language} needs 1 to ${LONGEST_NAME} characters: ${name}`);
    }
    if (!TARGETS.includes(schema.target)) problem(`there is no target ${schema.target}.`);
    for (const member of ['javascript', 'stylesheet']) {
      if (schema[member] && !existsSync(join(THEME, 'assets', schema[member]))) problem(`assets/${schema[member]} is not there.`);
    }
    for (const template of schema.enabled_on?.templates ?? []) {
      if (!TEMPLATES.includes(template)) problem(`there is no template ${template}.`);
    }
    const ids = new Set();
    for (const setting of schema.settings ?? []) {
      if (setting.type === 'header' || setting.type === 'paragraph') {
        if (!setting.content) problem(`a ${setting.type} has no content.`);
        continue;
      }
      const demands = TYPES[setting.type];
      if (demands === undefined) problem(`there is no setting of type ${setting.type}.`);
      for (const member of ['id', 'label', ...(demands ?? [])]) {
        if (setting[member] === undefined) problem(`the setting ${setting.id} has no ${member}.`);
      }
      if (ids.has(setting.id)) problem(`the setting ${setting.id} is there twice.`);
      ids.add(setting.id);
      if (setting.type === 'range') checkRange(setting, problem);
      const values = setting.options?.map((option) => option.value);
      if (values && !values.includes(setting.default)) problem(`the setting ${setting.id} defaults to none of its options.`);
      if (!text.includes(`block.settings.${setting.id}`)) problem(`the setting ${setting.id} changes nothing.`);
    }
    for (const [, id] of text.matchAll(/block\.settings\.(\w+)/g)) {
      if (!ids.has(id)) problem(`block.settings.${id} is not a setting.`);
    }
    for (const [, key] of text.matchAll(/'([\w.]+)'\s*\|\s*t\b/g)) {
      if (!shown.has(key)) problem(`${key} is not in en.default.json.`);
    }
    checkOutput(text.replace(body, ''), problem);
  }
  return problems;
}

/** Shopify refuses a range with more than 101 steps, and a default between two of them. */
function checkRange({ id, min, max, step, default: start }, problem) {
  const steps = (max - min) / step;
  if (!Number.isInteger(steps) || steps < 2 || steps > 100) problem(`the range ${id} has ${steps} steps.`);
  if (!Number.isInteger((start - min) / step) || start < min || start > max) problem(`the range ${id} cannot start at ${start}.`);
}

/** Whatever a merchant may write is escaped for HTML; what is not, we wrote ourselves. */
function checkOutput(text, problem) {
  const ours = /^(inside|rules|on_accent|block\.shopify_attributes)$/;
  for (const [, output] of text.matchAll(/\{\{-?([\s\S]*?)-?\}\}/g)) {
    const filters = output.split('|').map((part) => part.trim());
    if (filters.at(-1) !== 'escape' && !ours.test(filters[0])) problem(`{{${output}}} is not escaped.`);
  }
}

function translated(value) {
  if (typeof value === 'string') return value.startsWith('t:') ? [value.slice(2)] : [];
  if (value === null || typeof value !== 'object') return [];
  return Object.values(value).flatMap(translated);
}
