/**
 * Checks what networks compute for NaN and infinity: otherwise a layer would come out black, with no reason
 * given.
 */
import { CodedError } from '../../shared/errors.ts';
import { findNotFinite, isAllFinite } from '../checkpoints/finite.ts';
import type { WeightsFile } from '../checkpoints/weights-file.ts';
import type { ComputeDType } from '../graph/precision.ts';

/** Files up to this size are searched for the faulty weight, which takes a few seconds. */
const searchedBytes = 4e9;

export interface Computation {
  /** As shown to the user: `The VAE decoder`. */
  readonly stage: string;
  readonly file: WeightsFile;
  readonly type: ComputeDType;
  readonly provider: string;
}

/**
 * @throws CodedError `not-finite` with the stage, the tensor and its file if they are found, and what to try
 */
export async function requireFinite(values: Float32Array, computation: Computation): Promise<void> {
  if (isAllFinite(values)) return;
  const { stage, file } = computation;
  const where = await tensorToBlame(file);
  const detail = `${stage} gave numbers that are not finite (NaN or infinity), so the edit was stopped.`;
  if (where) {
    throw new CodedError('not-finite', {
      detail: `${detail} "${where.name}" in ${where.data.file} has such numbers.`,
      remedy: 'The file is damaged or was made wrongly: install the model again, or use another file.',
    });
  }
  throw new CodedError('not-finite', {
    detail: `${detail} It computes with ${file.file} in ${computation.type} on ${computation.provider}.`,
    remedy: remedyFor(computation),
  });
}

async function tensorToBlame(file: WeightsFile) {
  if (file.bytes > searchedBytes) return undefined;
  // Don't report a file that can't be read any more: it is not the error the user needs to see.
  return findNotFinite(file.tensors.values()).catch(() => undefined);
}

function remedyFor({ type, file }: Computation): string {
  if (type === 'float16') {
    return 'Some models exceed float16: use a GPU with bfloat16, or start with --provider cpu. A lower adapter strength may help too.';
  }
  const check = file.bytes > searchedBytes ? ' Check the files with "npm run models -- verify".' : '';
  return `Leave out adapters or lower their strength, and use weights of another precision, 16 bits rather than 4 or 8.${check}`;
}
