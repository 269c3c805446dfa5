/**
 * Finds the NVIDIA GPU that CUDA uses, from nvidia-smi or, in containers without it, from the kernel driver.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** A GPU, or a MIG partition of one. */
export interface NVIDIADevice {
  readonly name: string;
  /** `GPU-…`, or `MIG-…` */
  readonly uuid: string;
  /** Bytes, if known: a vGPU does not report them. */
  readonly free?: number | undefined;
  readonly total?: number | undefined;
}

export interface NVIDIAGPU extends NVIDIADevice {
  /** In PCI bus order, as nvidia-smi counts. */
  readonly index: number;
  readonly parts: readonly NVIDIADevice[];
}

/**
 * The usable share of the size in a MIG profile's name: 9,856 MiB of 10 GB (NVIDIA's MIG User Guide, A100
 * 80GB).
 */
const usableShare = 0.94;

/**
 * The devices visible to CUDA, the one it uses first (CUDA C++ Programming Guide, "CUDA Environment
 * Variables"): indices, UUIDs or UUID prefixes, MIG devices, up to the first invalid one. If the variable is
 * set but empty, there is none.
 */
export function visibleDevices(
  setting: string | undefined,
  gpus: readonly NVIDIAGPU[],
): readonly NVIDIADevice[] {
  if (setting === undefined) return gpus.map(ofWhole);
  const devices: NVIDIADevice[] = [];
  for (const text of setting.split(',').map((entry) => entry.trim())) {
    const device = find(text, gpus);
    if (!device) break;
    devices.push(device);
  }
  return devices;
}

function find(text: string, gpus: readonly NVIDIAGPU[]): NVIDIADevice | undefined {
  if (/^\d+$/.test(text)) {
    const gpu = gpus.find(({ index }) => index === Number(text));
    return gpu && ofWhole(gpu);
  }
  const begins = ({ uuid }: NVIDIADevice) => uuid.toLowerCase().startsWith(text.toLowerCase());
  if (/^MIG-/i.test(text)) return only(gpus.flatMap(({ parts }) => parts).filter(begins));
  if (!/^GPU-/i.test(text)) return undefined;
  const gpu = only(gpus.filter(begins));
  return gpu && ofWhole(gpu);
}

/** On a partitioned GPU, CUDA uses the first partition. */
function ofWhole(gpu: NVIDIAGPU): NVIDIADevice {
  return gpu.parts[0] ?? gpu;
}

/** A UUID prefix is valid if it matches exactly one device. */
function only<T>(found: readonly T[]): T | undefined {
  return found.length === 1 ? found[0] : undefined;
}

/** What CUDA_VISIBLE_DEVICES hides, for users who wonder where their GPU went. */
export function hiddenBy(setting: string | undefined, gpus: readonly NVIDIAGPU[]): string | undefined {
  if (setting === undefined || gpus.length === 0 || visibleDevices(setting, gpus).length > 0)
    return undefined;
  const known = gpus.flatMap((gpu) => [`${gpu.index} (${gpu.uuid})`, ...gpu.parts.map(({ uuid }) => uuid)]);
  return `CUDA_VISIBLE_DEVICES is "${setting}", which hides every GPU; there are ${known.join(', ')}`;
}

/** All GPUs with a driver; empty if there is no driver. */
export async function listGPUs(): Promise<readonly NVIDIAGPU[]> {
  const query = ['--query-gpu=index,uuid,memory.free,memory.total,name', '--format=csv,noheader,nounits'];
  const [table, list] = await Promise.all([askNVIDIASMI(query), askNVIDIASMI(['-L'])]);
  if (table === undefined) return gpusOfKernel();
  const parts = partsOf(list ?? '');
  return table.split('\n').flatMap((line) => {
    const gpu = readGPU(line);
    return gpu ? [{ ...gpu, parts: parts.get(gpu.uuid) ?? [] }] : [];
  });
}

/**
 * `0, GPU-5d5b…, 11237, 12288, NVIDIA GeForce RTX 3060`: MiB, or `[N/A]` if a GPU, such as a vGPU, does not
 * report it.
 */
export function readGPU(line: string): Omit<NVIDIAGPU, 'parts'> | undefined {
  const [, index, uuid, free, total, name] = /^(\d+), (\S+), (\S+), (\S+), (.+?)\s*$/.exec(line) ?? [];
  if (!index || !uuid || !name) return undefined;
  return { index: Number(index), uuid, name, free: mebibytes(free), total: mebibytes(total) };
}

function mebibytes(text = ''): number | undefined {
  return /^\d+$/.test(text) ? Number(text) * 2 ** 20 : undefined;
}

/** The MIG devices by GPU, as `nvidia-smi -L` lists them under it: `MIG 1g.10gb Device 0: (UUID: MIG-…)`. */
export function partsOf(list: string): ReadonlyMap<string, readonly NVIDIADevice[]> {
  const parts = new Map<string, NVIDIADevice[]>();
  let gpu: { readonly name: string; readonly uuid: string } | undefined;
  for (const line of list.split('\n')) {
    const [, name, uuid] = /^GPU \d+: (.+) \(UUID: (GPU-\S+)\)/.exec(line) ?? [];
    if (name && uuid) gpu = { name, uuid };
    const [, profile, part] = /^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-\S+)\)/.exec(line) ?? [];
    if (!gpu || !profile || !part) continue;
    const size = Number(/\.(\d+)gb/.exec(profile)?.[1] ?? 0) * 2 ** 30 * usableShare;
    const memory = size > 0 ? { free: size, total: size } : {};
    parts.set(gpu.uuid, [
      ...(parts.get(gpu.uuid) ?? []),
      { name: `${gpu.name} MIG ${profile}`, uuid: part, ...memory },
    ]);
  }
  return parts;
}

/** NVIDIA's driver version, such as "580.95.05"; undefined without a driver. */
export async function driverVersion(): Promise<string | undefined> {
  const told = await askNVIDIASMI(['--query-gpu=driver_version', '--format=csv,noheader']);
  // For containers without nvidia-smi.
  const kernel = await readFile('/proc/driver/nvidia/version', 'utf8').catch(() => '');
  return /^\d+[\d.]*/.exec(told ?? '')?.[0] ?? /Kernel Module.*?\s(\d+\.[\d.]+)\s/.exec(kernel)?.[1];
}

const kernelFolder = '/proc/driver/nvidia/gpus';

async function gpusOfKernel(): Promise<readonly NVIDIAGPU[]> {
  const places = await readdir(kernelFolder).catch(() => []);
  const texts = await Promise.all(
    places
      .sort()
      .map((place) => readFile(path.join(kernelFolder, place, 'information'), 'utf8').catch(() => '')),
  );
  return texts.flatMap((text, index) => {
    const [name, uuid] = ['Model', 'GPU UUID'].map(
      (field) => new RegExp(`^${field}:\\s*(.+?)\\s*$`, 'm').exec(text)?.[1],
    );
    return name && uuid ? [{ index, name, uuid, parts: [] }] : [];
  });
}

/** Comes with the driver, but isn't in every container. */
async function askNVIDIASMI(options: readonly string[]): Promise<string | undefined> {
  return promisify(execFile)('nvidia-smi', [...options], { timeout: 10_000 }).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}
