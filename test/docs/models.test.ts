import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { modelsPage, withTables } from '../../docs/model-tables.ts';

it('docs/models.md shows the tables as the code has them ("npm run docs:models" writes them)', () => {
  const page = readFileSync(modelsPage, 'utf8');
  expect(page).toBe(withTables(page));
});
