import { readFileSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';

const said = { title: v.string(), configuration: v.string() };
const network = { ...said, weights: v.string(), arrays: v.string() };
/** Files with their scales. */
const adapters = v.optional(v.record(v.string(), v.number()), {});

/** What make.py writes down of each comparison; the files are relative to the folder. */
const lineSchema = v.variant('kind', [
  v.strictObject({
    kind: v.literal('flux'),
    ...network,
    /** Which array is to come out. */
    output: v.string(),
    adapters,
  }),
  v.strictObject({ kind: v.literal('cache'), ...network }),
  v.strictObject({ kind: v.literal('t5'), ...network, adapters }),
  v.strictObject({ kind: v.literal('clip'), ...network, adapters }),
  v.strictObject({ kind: v.literal('autoencoder'), ...network }),
  v.strictObject({
    kind: v.literal('tokenizer'),
    ...said,
    /** Packed, as are `texts` and `ids`: JSON, compressed with gzip. */
    tokenizer: v.string(),
    /** What tokenizer_config.json says. */
    config: v.record(v.string(), v.unknown()),
    length: v.number(),
    special: v.array(v.string()),
    texts: v.string(),
    ids: v.string(),
  }),
  v.strictObject({
    kind: v.literal('blocks'),
    ...network,
    /** Of the tensor `<type>.weight`, and the name of its values. */
    type: v.string(),
  }),
  v.strictObject({ kind: v.literal('noise'), ...said, arrays: v.string() }),
  v.strictObject({
    kind: v.literal('schedule'),
    ...said,
    name: v.picklist(['authors', 'diffusers']),
    arrays: v.string(),
  }),
  v.strictObject({
    kind: v.literal('units'),
    ...said,
    request: v.string(),
    expected: v.string(),
    /** Width and height of the joined image. */
    joined: v.tuple([v.number(), v.number()]),
    withChange: v.boolean(),
  }),
  /** Pairs of a text and the same cleaned, as JSON. */
  v.strictObject({ kind: v.literal('clean'), ...said, texts: v.string() }),
  v.strictObject({
    kind: v.literal('edit'),
    ...said,
    /** The folder of a model. */
    model: v.string(),
    request: v.string(),
    expected: v.string(),
  }),
]);

export type Line = v.InferOutput<typeof lineSchema>;
export type LineOf<Kind extends Line['kind']> = Extract<Line, { kind: Kind }>;

/** The comparisons that a folder of arrays is made for. */
export function readLines(folder: string): Line[] {
  return v.parse(v.array(lineSchema), JSON.parse(readFileSync(path.join(folder, 'lines.json'), 'utf8')));
}
