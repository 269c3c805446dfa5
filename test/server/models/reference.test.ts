import { describe, expect, it } from 'vitest';
import { compareLine } from '../../reference/compare.ts';
import { readLines } from '../../reference/lines.ts';
import { arraysFolder } from './arrays.ts';

const lines = readLines(arraysFolder);

describe('what ships is compared with everything that was published', () => {
  it('networks, tokenizers, formulas, and an edit from end to end', () => {
    expect([...new Set(lines.map(({ kind }) => kind))].sort()).toEqual(
      ['autoencoder', 'clip', 'edit', 'flux', 'noise', 'schedule', 't5', 'tokenizer', 'units'].sort(),
    );
    expect(lines.filter(({ kind }) => kind === 'flux').length).toBeGreaterThanOrEqual(3);
  });
});

describe('ours computes what the published implementation computes', () => {
  it.each(
    lines.map((line) => [line.title, line.configuration, line] as const),
  )('%s: %s', async (_title, _configuration, line) => {
    const rows = await compareLine(arraysFolder, line);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ ok }) => !ok)).toEqual([]);
  });
});
