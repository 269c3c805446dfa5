import { execFile } from 'node:child_process';
import os from 'node:os';
import { promisify } from 'node:util';
import type { Provider } from './provider.ts';

export interface DeviceMemory {
  /** As its maker calls it: "NVIDIA GeForce RTX 3060"; "This computer" for main memory. */
  readonly name: string;
  /** Bytes. */
  readonly free: number;
  readonly total: number;
}

/**
 * The memory that a provider computes in, as it is now; undefined where nothing tells it. DirectML and WebGPU share what the
 * system gives them, and no program that is always there says how much that is.
 */
export async function deviceMemory(provider: Provider): Promise<DeviceMemory | undefined> {
  if (provider === 'cpu') return { name: 'This computer', free: os.freemem(), total: os.totalmem() };
  if (provider !== 'cuda') return undefined;
  return readNvidiaSMI((await askNvidiaSMI('name,memory.free,memory.total')) ?? '');
}

/** Of NVIDIA's driver: "580.95.05"; undefined where there is none. */
export async function driverVersion(): Promise<string | undefined> {
  return /^\d+[\d.]*/.exec((await askNvidiaSMI('driver_version')) ?? '')?.[0];
}

/** A line with what is asked of the GPU that computes. It comes with the driver, but not into every container. */
async function askNvidiaSMI(fields: string): Promise<string | undefined> {
  // CUDA's first device is the first of CUDA_VISIBLE_DEVICES, which nvidia-smi does not look at.
  const [device = '0'] = (process.env.CUDA_VISIBLE_DEVICES || '0').split(',');
  const query = [`--query-gpu=${fields}`, '--format=csv,noheader,nounits', `--id=${device}`];
  return promisify(execFile)('nvidia-smi', query, { timeout: 10_000 }).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}

/** `NVIDIA GeForce RTX 3060, 11237, 12288`: MiB. Undefined where a GPU, as in a vGPU, answers `[N/A]`. */
export function readNvidiaSMI(line: string): DeviceMemory | undefined {
  const [, name, free, total] = /^(.+), (\d+), (\d+)\s*$/.exec(line) ?? [];
  if (!name) return undefined;
  return { name, free: Number(free) * 2 ** 20, total: Number(total) * 2 ** 20 };
}
