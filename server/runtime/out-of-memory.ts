import { readFileSync } from 'node:fs';
import { CodedError } from '../../shared/errors.ts';

/** Messages of ONNX Runtime, CUDA, Vulkan, V8 and libstdc++ when memory runs out. */
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

/** Number of processes that Linux has killed for memory since boot; 0 if unknown. */
export function killsForMemory(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
