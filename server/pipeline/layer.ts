import { moved } from '../../shared/bounds.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import { bytesOf, type Container } from '../../shared/safetensors.ts';
import type { EditInput } from './input.ts';
import type { ResolvedEdit } from './resolve.ts';

/** One finished variant: the pixels inside `result.bounds`, [h, w, 4], straight alpha. */
export interface FinishedLayer {
  readonly pixels: Uint8Array | Uint16Array;
  readonly result: EditResult;
}

/** The description of a variant's layer. */
export function describeResult(
  edit: ResolvedEdit,
  { origin, notes: inputNotes }: Pick<EditInput, 'origin' | 'notes'>,
  made: Pick<EditResult, 'variant' | 'seed' | 'provider' | 'timings' | 'stepsReused'>,
): EditResult {
  const { steps, guidance, task, taskReason, model, adapters, layer, layout } = edit;
  const { variant, seed, provider, timings, ...reused } = made;
  const bounds = moved(layer, origin);
  const notes = [...inputNotes, ...edit.notes];
  const settings = { steps, ...reused, guidance, task, ...(taskReason && { taskReason }), model, adapters };
  return {
    variant,
    bounds,
    seed,
    ...settings,
    provider,
    workSize: layout.target,
    ...(notes.length > 0 && { notes }),
    timings,
  };
}

/** A layer as sent and stored: the tensor `layer`, with its description as metadata. */
export function encodeLayer({ pixels, result }: FinishedLayer): Container {
  const { width, height } = result.bounds;
  return {
    metadata: {
      result: JSON.stringify(result),
      bounds: JSON.stringify(result.bounds),
      seed: String(result.seed),
      timings: JSON.stringify(result.timings),
    },
    tensors: new Map([
      [
        'layer',
        {
          dtype: pixels instanceof Uint16Array ? 'U16' : 'U8',
          shape: [height, width, 4],
          data: bytesOf(pixels),
        },
      ],
    ]),
  };
}
