import { randomBytes } from 'node:crypto';
import { open, rm, stat, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { rename } from '../disk/rename.ts';
import { exportVariant } from '../jobs/export.ts';
import { pictureSize } from '../pictures/decode.ts';
import { type OutputEncoding, type ResultKind, refuseUnfit } from '../pictures/export.ts';
import { wrongCommandLine } from './failure.ts';
import { fromPerson } from './flags.ts';

/** Formats by file extension. */
const endings: Readonly<Record<string, OutputEncoding>> = {
  '.png': 'png',
  '.jpg': 'jpg',
  '.jpeg': 'jpg',
  '.webp': 'webp',
  '.avif': 'avif',
  '.tif': 'tif',
  '.tiff': 'tif',
  '.psd': 'psd',
  '.psb': 'psb',
};

/** A destination for a result. */
export interface Output {
  readonly file: string;
  readonly encoding: OutputEncoding;
  readonly as: ResultKind;
}

export interface OutputFlags {
  readonly out: string;
  readonly result?: ResultKind | undefined;
}

/**
 * Checks, before the edit starts, that its result can be written.
 * @param inputs the input files as the user named them: none of them may be overwritten
 * @throws CodedError `request-invalid`, `disk-full`
 */
export async function checkOutput(
  command: string,
  { out, result }: OutputFlags,
  inputs: readonly string[] = [],
): Promise<Output> {
  const wrong = (what: string) => wrongCommandLine(command, `--out "${out}" ${what}`);
  const file = fromPerson(out);
  const encoding = endings[path.extname(file).toLowerCase()];
  if (!encoding) throw wrong(`ends in none of ${Object.keys(endings).join(', ')}`);
  const folder = path.dirname(file);
  if (!(await isFolder(folder))) throw wrong(`is in ${folder}, which is not a folder`);
  const there = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw wrong(
      error.code === 'ENAMETOOLONG' ? 'is too long a name for this disk' : `cannot be used: ${error.message}`,
    );
  });
  if (there?.isDirectory()) throw wrong('is a folder');
  for (const input of inputs) {
    const found = await stat(fromPerson(input)).catch(() => undefined);
    if (there && found && there.dev === found.dev && there.ino === found.ino) {
      throw wrong(`is the same file as the input "${input}"; it would be overwritten`);
    }
  }
  await refuseUnwritable(folder, wrong);
  return { file, encoding, as: result ?? (encoding === 'psd' || encoding === 'psb' ? 'picture' : 'layer') };
}

async function isFolder(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Tries to write: permissions, read-only disks and quotas only show this way. */
async function refuseUnwritable(folder: string, wrong: (what: string) => CodedError): Promise<void> {
  const trial = unfinishedName(folder);
  try {
    await (await open(trial, 'wx')).close();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw wrong(
      code === 'EACCES' || code === 'EPERM'
        ? `is in ${folder}, which you cannot write to`
        : `is in ${folder}, where nothing can be written: ${message}`,
    );
  } finally {
    await rm(trial, { force: true });
  }
}

/** Short, so that it is valid wherever the output's own name is. */
function unfinishedName(folder: string): string {
  return path.join(folder, `.acepp-${randomBytes(6).toString('hex')}.tmp`);
}

/**
 * Checks that a result of the picture's size fits the format and the disk.
 * @param asked the width and height in the request
 * @throws CodedError `too-large`, `disk-full`, `image-invalid`
 */
export async function checkSpace(
  { file, encoding }: Output,
  picture: Uint8Array | undefined,
  asked: { readonly width?: number | undefined; readonly height?: number | undefined },
): Promise<void> {
  const own = picture && (await pictureSize(picture, 'picture'));
  const width = Math.max(own?.width ?? 0, asked.width ?? 0);
  const height = Math.max(own?.height ?? 0, asked.height ?? 0);
  refuseUnfit({ width, height }, encoding);
  const { bavail, bsize } = await statfs(path.dirname(file));
  // Layered files are barely compressed: the picture, the layer and the composite of both.
  const wanted = width * height * (encoding === 'psd' || encoding === 'psb' ? 12 : 1);
  if (bavail * bsize >= wanted) return;
  throw new CodedError('disk-full', {
    detail: `The disk of "${file}" has ${bavail * bsize} bytes left; the result may need ${wanted}.`,
    remedy: 'Make room, or let --out name a file on another disk.',
  });
}

/**
 * Writes the first variant of the edit in `folder`. The file appears complete or not at all.
 * @returns notes for the user
 * @throws CodedError `disk-full`, `disk-unwritable`, and those of `exportVariant`
 */
export async function writeOutput(
  folder: string,
  { file, encoding, as }: Output,
  variant = 0,
): Promise<readonly string[]> {
  const { bytes, notes } = await exportVariant(folder, variant, { as, encoding });
  const unfinished = unfinishedName(path.dirname(file));
  try {
    await writeFile(unfinished, bytes);
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true });
    const isFull = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new CodedError(isFull ? 'disk-full' : 'disk-unwritable', {
      detail: `The result cannot be written: ${(cause as Error).message}.`,
      remedy: 'Name a file on a disk that has room and that you may write to.',
      cause,
    });
  }
  return notes;
}
