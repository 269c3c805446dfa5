import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { describeIssue, jsonIn } from '../../shared/parse.ts';

const positive = v.pipe(v.number(), v.gtValue(0));

/** `ACEPP_HOME/config.json`, written by the user; see docs/companion.md. */
const configSchema = v.strictObject({
  history: v.optional(
    v.strictObject({
      /** Edits older than this are removed. */
      days: v.optional(positive, 90),
      /** Maximum kept on disk, in units of 10^9 bytes. */
      gigabytes: v.optional(positive, 10),
    }),
    {},
  ),
  log: v.optional(
    v.strictObject({
      /** Whether to log instructions. */
      instructions: v.optional(v.boolean(), false),
    }),
    {},
  ),
});

export type Config = v.InferOutput<typeof configSchema>;

/** @throws CodedError `config-invalid` */
export async function readConfig(home: string): Promise<Config> {
  const file = path.join(home, 'config.json');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw invalid(file, error.message);
  });
  const result = v.safeParse(configSchema, jsonIn(text));
  if (result.success) return result.output;
  throw invalid(file, jsonIn(text) === undefined ? 'it is not JSON' : describeIssue(result.issues[0]));
}

function invalid(file: string, why: string): CodedError {
  return new CodedError('config-invalid', {
    detail: `The settings in ${file} are wrong: ${why}.`,
    remedy: 'Correct them as docs/companion.md says, or remove the file.',
  });
}
