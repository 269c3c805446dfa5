/** Explains why a file that the user named is not used, as far as its first bytes and its header show. */
import { open } from 'node:fs/promises';
import path from 'node:path';
import { readAt } from '../disk/read-range.ts';

/** What a file is, judging by its first bytes, if it is not a weights file. */
const beginnings: readonly (readonly [RegExp, string])[] = [
  [
    /^version https:\/\/git-lfs/,
    'it is a pointer of Git LFS, not the file itself: fetch that with "git lfs pull"',
  ],
  [
    /^\s*<(?:!doctype|html|\?xml)/i,
    'it is a web page, as a download gives that needs a login: fetch the file again',
  ],
];

/** Reasons that any file gives for the networks it does not hold; they explain nothing. */
const notThisNetwork = /has no tensor "|but no |holds a /;

/** @param reasons why it is not one part or another of the model */
export async function whyNotTaken(file: string, reasons: readonly string[]): Promise<string> {
  const start = await firstBytes(file);
  const isPickle = ['PK\u0003\u0004', '\u0080\u0002'].some((magic) => start.startsWith(magic));
  if (isPickle)
    return 'it is a PyTorch pickle, which can run code and is not read: use the same as .safetensors';
  const known = beginnings.find(([pattern]) => pattern.test(start))?.[1];
  if (known) return known;
  if (/\.(?:ckpt|pt|pth|bin)$/i.test(file)) return 'it is a PyTorch file: use the same as .safetensors';
  if (!/\.(?:safetensors|sft|gguf|json)$/i.test(file))
    return `"${path.extname(file)}" is no kind of weights file`;
  const telling = reasons.find((reason) => !notThisNetwork.test(reason));
  if (telling) return telling;
  return 'it is none of the files that this model lacks (a VAE counts only as it was published)';
}

async function firstBytes(file: string): Promise<string> {
  const handle = await open(file, 'r');
  try {
    return Buffer.from(await readAt(handle, 0, 64)).toString('latin1');
  } finally {
    await handle.close();
  }
}
