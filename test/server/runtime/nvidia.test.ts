import { describe, expect, it, test } from 'vitest';
import {
  hiddenBy,
  type NVIDIAGPU,
  partsOf,
  readGPU,
  visibleDevices,
} from '../../../server/runtime/nvidia.ts';

const list = `GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-8932f937-d72c)
GPU 1: NVIDIA A100 80GB PCIe (UUID: GPU-5d5ba0d6-d33d)
  MIG 1g.10gb     Device  0: (UUID: MIG-c6d4f1ef-42e4)
  MIG 3g.40gb     Device  1: (UUID: MIG-cba663e8-9bed)
GPU 2: NVIDIA GeForce RTX 4090 (UUID: GPU-8932aaaa-0000)
`;
const parts = partsOf(list);
const gpus: NVIDIAGPU[] = [
  '0, GPU-8932f937-d72c, 11237, 12288, NVIDIA GeForce RTX 3060',
  '1, GPU-5d5ba0d6-d33d, [N/A], [N/A], NVIDIA A100 80GB PCIe',
  '2, GPU-8932aaaa-0000, 20000, 24564, NVIDIA GeForce RTX 4090',
].map((text) => {
  const gpu = readGPU(text)!;
  return { ...gpu, parts: parts.get(gpu.uuid) ?? [] };
});

describe('CUDA_VISIBLE_DEVICES in every form that CUDA accepts', () => {
  it.each<[string | undefined, readonly string[]]>([
    [undefined, ['GPU-8932f937-d72c', 'MIG-c6d4f1ef-42e4', 'GPU-8932aaaa-0000']],
    ['', []],
    ['-1', []],
    ['NoDevFiles', []],
    ['2', ['GPU-8932aaaa-0000']],
    ['2,0', ['GPU-8932aaaa-0000', 'GPU-8932f937-d72c']],
    [' 2 , 0 ', ['GPU-8932aaaa-0000', 'GPU-8932f937-d72c']],
    // CUDA ignores everything after a missing device.
    ['0,-1,2', ['GPU-8932f937-d72c']],
    ['0,7,2', ['GPU-8932f937-d72c']],
    ['7', []],
    ['GPU-8932aaaa-0000', ['GPU-8932aaaa-0000']],
    ['gpu-8932f', ['GPU-8932f937-d72c']],
    // Two match this prefix.
    ['GPU-8932', []],
    ['MIG-cba663e8-9bed', ['MIG-cba663e8-9bed']],
    ['MIG-ffff', []],
    // CUDA uses the first MIG instance of a partitioned GPU.
    ['1', ['MIG-c6d4f1ef-42e4']],
  ])('%j', (setting, expected) => {
    expect(visibleDevices(setting, gpus).map(({ uuid }) => uuid)).toEqual(expected);
  });

  it('reports what it hides', () => {
    expect(hiddenBy('-1', gpus)).toMatch(
      /^CUDA_VISIBLE_DEVICES is "-1", which hides every GPU; there are 0 \(GPU-8932f937/,
    );
    expect(hiddenBy('0', gpus)).toBeUndefined();
    expect(hiddenBy(undefined, gpus)).toBeUndefined();
    // Without a GPU there is nothing to hide.
    expect(hiddenBy('-1', [])).toBeUndefined();
  });
});

test('memory is the GPU’s own, a MIG device’s by its profile, and unknown if a vGPU does not report it', () => {
  const mebibyte = 2 ** 20;
  expect(gpus[0]).toMatchObject({ free: 11237 * mebibyte, total: 12288 * mebibyte });
  expect(gpus[1]).toMatchObject({ free: undefined, total: undefined });
  const [part] = gpus[1]!.parts;
  expect(part!.name).toBe('NVIDIA A100 80GB PCIe MIG 1g.10gb');
  // NVIDIA's MIG User Guide: 9,856 MiB.
  expect(part!.free! / (9856 * mebibyte)).toBeGreaterThan(0.95);
  expect(part!.free! / (9856 * mebibyte)).toBeLessThanOrEqual(1);
  expect(readGPU('')).toBeUndefined();
});
