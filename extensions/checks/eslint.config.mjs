import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import ts from 'typescript-eslint';

const browser = {
  window: 'readonly', document: 'readonly', fetch: 'readonly', setTimeout: 'readonly',
  URLSearchParams: 'readonly',
};
const node = { process: 'readonly', console: 'readonly', URL: 'readonly' };
// What merchants and strangers wrote must never become markup or code.
const unsafe = [
  { selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|write|writeln)$/]", message: 'Use textContent.' },
];

export default defineConfig(
  // Shopify's command line writes the declarations.
  { ignores: ['**/dist/**', '**/shopify.d.ts'] },
  js.configs.recommended,
  {
    files: ['extensions/**/*.{ts,tsx}'],
    extends: [ts.configs.strict, ts.configs.stylistic],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  {
    files: ['extensions/**/*.{js,ts,tsx}'],
    ignores: ['extensions/*/tests/**'],
    rules: { 'no-restricted-syntax': ['error', ...unsafe], 'no-eval': 'error', 'no-implied-eval': 'error', 'no-new-func': 'error', eqeqeq: 'error', 'no-console': 'error' },
  },
  { files: ['extensions/storefront/assets/*.js'], languageOptions: { sourceType: 'script', globals: browser } },
  { files: ['extensions/checks/*.mjs'], languageOptions: { globals: node } },
);
