// Shopify's own linter for Liquid, with its rules for theme app extensions.
import process from 'node:process';

import { themeCheckRun } from '@shopify/theme-check-node';

export async function theme() {
  const { offenses } = await themeCheckRun(
    `${process.cwd()}/extensions/storefront`,
    'theme-check:theme-app-extension',
  );
  return offenses.map(({ check, uri, message, start }) => {
    const file = uri.split('/extensions/storefront/').at(-1);
    return `${file}:${(start?.line ?? 0) + 1}: ${message} (${check})`;
  });
}
