import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findNotFinite } from '../../../server/checkpoints/finite.ts';
import { openStored } from '../../../server/checkpoints/header.ts';
import { asFloats } from '../../../server/checkpoints/numbers.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { bytesOf, type DType } from '../../../shared/safetensors.ts';
import { copyOfTiny, type Network, type Tensors } from '../models/changed-model.ts';

let tiny: Awaited<ReturnType<typeof copyOfTiny>>;
beforeAll(async () => {
  tiny = await copyOfTiny();
});
afterAll(() => tiny.remove());

/** An edit that uses each network once. */
async function run(): Promise<void> {
  const networks = await loadNetworks(tiny.model, { provider: 'cpu' });
  try {
    const conditioning = await networks.encodePrompt('a red circle');
    const image = { data: new Float32Array(3 * 32 * 32).fill(0.25), width: 32, height: 32 };
    const latent = await networks.vaeEncode(image);
    const input = new Float32Array(4 * 384).fill(0.5);
    await networks.velocity({ conditioning, input, rows: 2, columns: 2, sigma: 0.7, guidance: 4 });
    await networks.vaeDecode(latent);
  } finally {
    await networks.release();
  }
}

const errorOf = (running: Promise<unknown>) =>
  running.then(
    () => 'no error',
    ({ code, detail }: { code: string; detail: string }) => `${code}: ${detail}`,
  );

/** A float32 tensor with one non-finite number. */
function broken(tensors: Tensors, name: string, value: number): void {
  const { dtype, shape, data } = tensors.get(name)!;
  const values = asFloats(Uint8Array.from(data), dtype).slice();
  values[Math.floor(values.length / 2)] = value;
  tensors.set(name, { dtype: 'F32', shape, data: bytesOf(values) });
}

describe('non-finite weights end the edit, naming the stage, the tensor and its file', () => {
  it.each<[Network, string, RegExp]>([
    ['t5', 'encoder.block.0.layer.1.DenseReluDense.wo.weight', /^not-finite: The T5 text encoder gave/],
    ['clip', 'text_model.final_layer_norm.bias', /^not-finite: The CLIP text encoder gave/],
    ['transformer', 'final_layer.linear.weight', /^not-finite: The transformer, at sigma 0\.700, gave/],
    ['vae', 'encoder.conv_in.weight', /^not-finite: The VAE encoder gave/],
    ['vae', 'decoder.conv_out.bias', /^not-finite: The VAE decoder gave/],
  ])('%s: "%s"', async (network, name, stage) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const error = await tiny.with(
        network,
        (tensors) => broken(tensors, name, value),
        () => errorOf(run()),
      );
      expect(error).toMatch(stage);
      expect(error).toContain(`"${name}" in ${tiny.fileOf(network)} has such numbers`);
    }
  });

  it('and finite weights do not', async () => {
    expect(await errorOf(run())).toBe('no error');
  });
});

describe('a search for non-finite weights', () => {
  const finite: Partial<Record<DType, Uint8Array>> = {
    F64: bytesOf(Float64Array.of(1, -1e300)),
    F32: bytesOf(Float32Array.of(1, -3e38)),
    F16: bytesOf(Uint16Array.of(0x7bff, 0xfbff)),
    BF16: bytesOf(Uint16Array.of(0x7f7f, 0xff7f)),
    F8_E4M3: Uint8Array.of(0x7e, 0xfe),
    F8_E5M2: Uint8Array.of(0x7b, 0xfb),
    U8: Uint8Array.of(255, 127),
    I64: bytesOf(BigInt64Array.of(-1n, 2n)),
  };
  const infinite: Partial<Record<DType, readonly Uint8Array[]>> = {
    F64: [bytesOf(Float64Array.of(1, Number.NaN)), bytesOf(Float64Array.of(-Infinity, 1))],
    F32: [bytesOf(Float32Array.of(Number.NaN, 1)), bytesOf(Float32Array.of(1, Infinity))],
    F16: [bytesOf(Uint16Array.of(0x7c00, 0)), bytesOf(Uint16Array.of(0, 0xfe00))],
    BF16: [bytesOf(Uint16Array.of(0x7f80, 0)), bytesOf(Uint16Array.of(0, 0xffc0))],
    F8_E4M3: [Uint8Array.of(0x7f, 0), Uint8Array.of(0, 0xff)],
    F8_E5M2: [Uint8Array.of(0x7c, 0), Uint8Array.of(0, 0xfe)],
  };
  const search = (dtype: DType, data: Uint8Array) =>
    tiny.with(
      'vae',
      (tensors) => {
        tensors.clear();
        tensors.set('x', { dtype, shape: [2], data });
      },
      async () => {
        const { stored } = await openStored(tiny.fileOf('vae'));
        return (await findNotFinite(stored.tensors.values()))?.name;
      },
    );

  it.each(
    Object.entries(finite) as [DType, Uint8Array][],
  )('takes the largest numbers of %s for finite', async (dtype, data) => {
    expect(await search(dtype, data)).toBeUndefined();
  });

  it.each(
    Object.entries(infinite) as [DType, readonly Uint8Array[]][],
  )('finds NaN and infinity in %s', async (dtype, all) => {
    for (const data of all) expect(await search(dtype, data)).toBe('x');
  });
});
