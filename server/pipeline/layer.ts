import type { EditResult } from '../../shared/protocol/result.ts';
import { bytesOf, type Container } from '../../shared/safetensors.ts';

/** One finished variant: the pixels inside `result.bounds`, [h, w, 4], straight alpha. */
export interface FinishedLayer {
  readonly pixels: Uint8Array | Uint16Array;
  readonly result: EditResult;
}

/** A layer as it travels and lies on disk: tensor `layer`, and what is told of it as metadata. */
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
