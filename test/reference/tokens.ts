import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as v from 'valibot';
import { openTokenizer } from '../../server/models/tokenizers.ts';
import type { LineOf } from './lines.ts';
import type { Row } from './measure.ts';

const textsSchema = v.array(v.string());
/** Rows without their padding. */
const idsSchema = v.object({ padding: v.number(), rows: v.array(v.array(v.number())) });

/** Every token of every text; the first texts that differ are named on stderr. */
export async function compareTokenizer(folder: string, line: LineOf<'tokenizer'>): Promise<Row[]> {
  const texts = v.parse(textsSchema, JSON.parse(await unpack(folder, line.texts)));
  const { padding, rows } = v.parse(idsSchema, JSON.parse(await unpack(folder, line.ids)));
  const tokenizer = await open(folder, line);
  let values = 0;
  let maxError = 0;
  let wrong = 0;
  const differing: string[] = [];
  texts.forEach((text, i) => {
    const expected = [...rows[i]!, ...new Array<number>(line.length - rows[i]!.length).fill(padding)];
    const ours = [...tokenizer.encode(text).ids].map(Number);
    const errors = expected.map((id, at) => Math.abs(id - (ours[at] ?? Number.NaN)));
    const differs = ours.length !== expected.length || errors.some((error) => error !== 0);
    if (differs)
      differing.push(`${JSON.stringify(text)}: ${ours.slice(0, 60)} against ${rows[i]!.slice(0, 60)}`);
    values += expected.length;
    wrong += errors.filter((error) => error !== 0).length;
    maxError = Math.max(maxError, ...errors);
  });
  for (const difference of differing.slice(0, 10)) console.error(`${line.title}: ${difference}`);
  return [
    {
      title: line.title,
      configuration: line.configuration,
      values,
      maxError,
      relativeError: wrong / values,
      limit: 'exact',
      ok: differing.length === 0,
    },
  ];
}

async function open(folder: string, line: LineOf<'tokenizer'>) {
  const temporary = await mkdtemp(path.join(os.tmpdir(), 'acepp-tokenizer-'));
  try {
    const [file, config] = ['tokenizer.json', 'tokenizer_config.json'].map((name) =>
      path.join(temporary, name),
    );
    await writeFile(file!, await unpack(folder, line.tokenizer));
    await writeFile(config!, JSON.stringify(line.config));
    return await openTokenizer(file!, config!, line.length, line.special);
  } finally {
    await rm(temporary, { recursive: true });
  }
}

async function unpack(folder: string, name: string): Promise<string> {
  return gunzipSync(await readFile(path.join(folder, name))).toString('utf8');
}
