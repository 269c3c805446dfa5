import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { writeDurably } from '../disk/durable.ts';

export interface Licence {
  readonly title: string;
  readonly url: string;
  /** What users need to know and accept before anything under this licence is downloaded. */
  readonly terms?: string;
}

export const licences = {
  'flux-1-dev-non-commercial': {
    title: 'FLUX.1 [dev] Non-Commercial License',
    // The copy on the hub is only readable to users who have already accepted it.
    url: 'https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev',
    terms:
      'FOR NON-COMMERCIAL USE ONLY. These weights are not free software: you may not use them for a business or in a ' +
      'product. Commercial use needs a licence from Black Forest Labs (https://bfl.ai/licensing). The adapters and the ' +
      'FFT model of ACE++ were made from these weights; their authors ask you to follow the same licence.',
  },
  'apache-2.0': { title: 'Apache License 2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
  mit: { title: 'MIT License', url: 'https://github.com/openai/CLIP/blob/main/LICENSE' },
  'mit-onnxruntime': {
    title: 'MIT License',
    url: 'https://github.com/microsoft/onnxruntime/blob/main/LICENSE',
  },
  'nvidia-cuda': {
    title: 'NVIDIA CUDA Toolkit End User License Agreement',
    url: 'https://docs.nvidia.com/cuda/eula/',
    terms: 'NVIDIA provides these libraries for use with its own GPUs, under its own terms.',
  },
  'nvidia-cudnn': {
    title: 'NVIDIA cuDNN Software License Agreement',
    url: 'https://docs.nvidia.com/deeplearning/cudnn/latest/reference/eula.html',
    terms: 'NVIDIA provides these libraries for use with its own GPUs, under its own terms.',
  },
} as const satisfies Record<string, Licence>;

export type LicenceId = keyof typeof licences;

/** Acceptance time by licence. */
const acceptedSchema = v.record(v.string(), v.string());

const acceptedFile = (home: string): string => path.join(home, 'licences.json');

/** Which licences were accepted, and when. */
export async function acceptedLicences(home: string): Promise<Readonly<Record<string, string>>> {
  const text = await readFile(acceptedFile(home), 'utf8').catch(() => '{}');
  try {
    return v.parse(acceptedSchema, JSON.parse(text));
  } catch {
    // If the file is unreadable, nothing counts as accepted: ask again and write a new one.
    return {};
  }
}

/**
 * Shows each licence that must be accepted and has not been; the answer is remembered.
 * @param ask shows a licence and returns the user's answer
 * @throws CodedError `licence-not-accepted`
 */
export async function acceptLicences(
  home: string,
  ids: Iterable<LicenceId>,
  ask: (licence: Licence) => Promise<boolean>,
): Promise<void> {
  const accepted: Record<string, string> = { ...(await acceptedLicences(home)) };
  for (const id of new Set(ids)) {
    const licence: Licence = licences[id];
    if (!licence.terms || accepted[id]) continue;
    if (!(await ask(licence))) {
      throw new CodedError('licence-not-accepted', {
        detail: `The ${licence.title} was not accepted, so nothing was downloaded.`,
        remedy: `Read it at ${licence.url}. If you agree, answer "yes" or add --accept-licence.`,
      });
    }
    accepted[id] = new Date().toISOString();
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeDurably(acceptedFile(home), `${JSON.stringify(accepted, null, 2)}\n`);
  }
}
