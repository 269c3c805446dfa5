import { readFileSync } from 'node:fs';
import { CodedError } from '../../shared/errors.ts';

/** What ONNX Runtime, CUDA, Vulkan, V8 and libstdc++ say when memory ran out. */
const outOfMemory =
  /bad_alloc|failed to allocate memory|out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|OutOfDeviceMemory|heap limit/i;

export function saysOutOfMemory(text: string): boolean {
  return outOfMemory.test(text);
}

export function outOfMemoryError(what: string, cause?: unknown): CodedError {
  return new CodedError('out-of-memory', {
    detail: `The memory did not suffice for this edit: ${what}.`,
    remedy: 'Close other programs, send fewer references, or ask for a smaller window.maxSequence.',
    cause,
  });
}

/** How many processes Linux has killed for memory since it started; 0 where that is not told. */
export function killsForMemory(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
