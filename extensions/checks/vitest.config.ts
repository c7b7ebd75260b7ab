import { defineConfig } from 'vitest/config';

export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  test: {
    include: ['extensions/*/tests/**/*.test.{ts,tsx}'],
    environment: 'jsdom',
    server: { deps: { inline: [/@shopify\/ui-extensions-tester/] } },
  },
});
