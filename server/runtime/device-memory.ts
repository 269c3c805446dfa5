import os from 'node:os';
import { listGPUs, visibleDevices } from './nvidia.ts';
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
  const [device] = visibleDevices(process.env.CUDA_VISIBLE_DEVICES, await listGPUs());
  const { name = '', free, total } = device ?? {};
  return free === undefined || total === undefined ? undefined : { name, free, total };
}
