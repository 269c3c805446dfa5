import os from 'node:os';
import { listGPUs, visibleDevices } from './nvidia.ts';
import type { Provider } from './provider.ts';

export interface DeviceMemory {
  /** The vendor's name: "NVIDIA GeForce RTX 3060"; "This computer" for main memory. */
  readonly name: string;
  /** Bytes. */
  readonly free: number;
  readonly total: number;
}

/**
 * The current memory of the device that a provider uses; undefined if it can't be queried. DirectML and
 * WebGPU share what the system gives them, and no program that is always installed reports how much that is.
 */
export async function deviceMemory(provider: Provider): Promise<DeviceMemory | undefined> {
  if (provider === 'cpu') return { name: 'This computer', free: os.freemem(), total: os.totalmem() };
  if (provider !== 'cuda') return undefined;
  const [device] = visibleDevices(process.env.CUDA_VISIBLE_DEVICES, await listGPUs());
  const { name = '', free, total } = device ?? {};
  return free === undefined || total === undefined ? undefined : { name, free, total };
}
