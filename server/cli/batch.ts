import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { CodedError, type ErrorCode } from '../../shared/errors.ts';
import { wrongCommandLine } from './failure.ts';
import { type Flags, fromPerson } from './flags.ts';

/** Runs one edit from its flags to its file; returns what to print about it. */
export type RunOne = (flags: Flags) => Promise<object>;

const picture = /\.(png|jpe?g|webp|tiff?|avif|gif|psd|psb)$/i;
const maskEnding = /\.mask$/i;
/** Errors that would recur with every picture. */
const endsAll: ReadonlySet<ErrorCode> = new Set([
  'model-missing',
  'model-unknown',
  'adapter-unknown',
  'provider-unavailable',
  'disk-full',
  'cancelled',
]);

/**
 * Applies one instruction to all pictures in a folder, in order of their names. Existing results are skipped,
 * so running the same command again resumes an interrupted batch.
 * @returns the exit code: 0 if every picture has its result, 1 if one failed
 */
export async function runBatch(flags: Flags, run: RunOne): Promise<number> {
  let failed = 0;
  const print = (line: object) => console.log(JSON.stringify(line));
  const fail = (thrown: unknown, image?: string) => {
    const error = CodedError.from(thrown);
    console.error(`${image ? `${image}: ` : ''}${error.code}: ${error.message}`);
    print({ ...(image && { image }), error: error.toProblem() });
    failed++;
    return error.code;
  };
  try {
    for (const { image, mask, out } of await batchOf(flags)) {
      if (await isThere(out)) {
        print({ image, out, skipped: true });
        continue;
      }
      try {
        print({ image, ...(await run({ ...flags, image, ...(mask && { mask }), out })) });
      } catch (thrown) {
        if (endsAll.has(fail(thrown, image))) break;
      }
    }
  } catch (thrown) {
    fail(thrown);
  }
  return failed === 0 ? 0 : 1;
}

interface BatchItem {
  readonly image: string;
  readonly mask: string | undefined;
  readonly out: string;
}

/** @throws CodedError `request-invalid` */
async function batchOf({ batch = '', out }: Flags): Promise<readonly BatchItem[]> {
  const folder = fromPerson(batch);
  if (!out.includes('*')) {
    throw wrongCommandLine(
      'edit',
      `--out "${out}" needs a * for the pictures' names, such as "edited/*.png"`,
    );
  }
  const names = await readdir(folder).catch((error: Error) => {
    throw wrongCommandLine('edit', `--batch "${batch}" cannot be read: ${error.message}`);
  });
  const files = names.filter((name) => picture.test(name)).sort();
  const stem = (name: string) => path.parse(name).name;
  const masks = new Map(
    files
      .filter((name) => maskEnding.test(stem(name)))
      .map((name) => [stem(name).replace(maskEnding, ''), name]),
  );
  const pictures = files.filter((name) => !maskEnding.test(stem(name)));
  const doubled = pictures.find((name, i) => pictures.findIndex((other) => stem(other) === stem(name)) !== i);
  if (doubled) {
    throw wrongCommandLine(
      'edit',
      `--batch "${batch}" has two pictures named "${stem(doubled)}", which would have one result`,
    );
  }
  if (pictures.length === 0) throw wrongCommandLine('edit', `--batch "${batch}" has no pictures`);
  return pictures.map((name) => {
    const mask = masks.get(stem(name));
    return {
      image: path.join(folder, name),
      mask: mask && path.join(folder, mask),
      out: fromPerson(out.replaceAll('*', () => stem(name))),
    };
  });
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}
