import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findModel, formsOf, listModels, type ModelEntry } from '../../../server/catalogue/catalogue.ts';
import {
  type BlockType,
  blockLayouts,
  valuesOfBlocks,
} from '../../../server/checkpoints/gguf/ggml-blocks.ts';
import { openStored } from '../../../server/checkpoints/header.ts';
import { asFloat16, asFloats } from '../../../server/checkpoints/numbers.ts';
import { WeightsFile } from '../../../server/checkpoints/weights-file.ts';
import { Graph } from '../../../server/graph/graph.ts';
import { Layers } from '../../../server/nn/layers.ts';
import { bytesOfBlocks, quantizeFile, writeBlocks } from '../../../server/quantize/quantize.ts';
import { computedFile, quantizedFile } from '../../../server/quantize/quantized-cache.ts';
import { loadNetworks } from '../../../server/runtime/load-networks.ts';
import { measureModel } from '../../../server/runtime/measure-model.ts';
import { Session } from '../../../server/runtime/session.ts';
import { randn } from '../../../server/sampling/noise.ts';
import { bytesOf, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { relativeError, tinyModel } from '../models/arrays.ts';
import {
  drawBlocks,
  encodeGGUF,
  type GGUFOptions,
  type GGUFTensor,
  text,
  tinyInBlocks,
  blockTypes as types,
  uint32,
  uint64,
  writeGGUF,
} from './gguf-writer.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-gguf-'));
  vi.stubEnv('ACEPP_HOME', path.join(folder, 'home'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const rows = 24;
const columns = 512;
const layer = 'double_blocks.0.img_mlp.0';
const blocks = (type: BlockType, seed = 3): GGUFTensor => ({
  type,
  shape: [rows, columns],
  data: drawBlocks(type, rows * columns, 0.02, seed),
});
const bias: GGUFTensor = { type: 'F32', shape: [rows], data: bytesOf(randn(6, rows)) };
const small = { [`${layer}.weight`]: blocks('Q4_K'), [`${layer}.bias`]: bias };

let count = 0;
async function put(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, `${count++}.gguf`);
  await writeFile(file, bytes);
  return file;
}
const putGGUF = (tensors: Record<string, GGUFTensor>, options?: GGUFOptions) =>
  put(encodeGGUF(tensors, options));

describe('a GGUF file', () => {
  it.each([
    2, 3,
  ])('of version %i is described by its header alone, with its shapes reversed', async (version) => {
    const file = await putGGUF(small, { version, alignment: 64 });
    const weights = await WeightsFile.open(file);
    expect(weights.names).toEqual([`${layer}.weight`, `${layer}.bias`]);
    expect(weights.get(`${layer}.weight`)).toMatchObject({ dtype: 'Q4_K', shape: [rows, columns] });
    const { offset, length } = weights.get(`${layer}.bias`).data;
    expect(offset % 64).toBe(0);
    expect((await readFile(file)).subarray(offset, offset + length)).toEqual(Buffer.from(bias.data));
    expect(weights.bytes).toBe((await readFile(file)).length);
  });

  it('converted from a whole checkpoint has names without its prefix', async () => {
    const file = await putGGUF({ 'model.diffusion_model.img_in.bias': bias }, { architecture: undefined });
    expect((await WeightsFile.open(file)).names).toEqual(['img_in.bias']);
  });

  it('may have vocabularies and values of every type before its tensors', async () => {
    const array = (type: number, length: number, bytes: Buffer) =>
      Buffer.concat([uint32(9), uint32(type), uint64(length), bytes]);
    const tokens = Array.from({ length: 30_000 }, (_, i) => text(`token ${i}`));
    const keys = {
      'tokenizer.ggml.tokens': array(8, tokens.length, Buffer.concat(tokens)),
      'tokenizer.ggml.scores': array(6, 50_000, Buffer.alloc(200_000)),
      nested: array(9, 2, Buffer.concat([uint32(8), uint64(1), text('a'), uint32(4), uint64(1), uint32(7)])),
      double: Buffer.concat([uint32(12), uint64(0)]),
      flag: Buffer.concat([uint32(7), Buffer.of(1)]),
    };
    const file = await putGGUF(small, { keys });
    expect((await WeightsFile.open(file)).has(`${layer}.bias`)).toBe(true);
  });

  it('with 16- or 32-bit weights runs in place', async () => {
    const weight = randn(3, rows * columns);
    const halves = bytesOf(asFloat16(weight));
    const file = await putGGUF({
      [`${layer}.weight`]: { type: 'F16', shape: [rows, columns], data: halves },
      [`${layer}.bias`]: bias,
    });
    expect(await computedFile(file)).toBe(file);
    const error = relativeError(await layerOutput(file), product(asFloats(halves, 'F16')));
    expect(error).toBeLessThan(1e-5);
    // And can be rounded as any other.
    expect(await quantizedFile(file, 4)).toMatch(/\.4bit\.safetensors$/);
  });
});

const invalid = (detail: RegExp) => ({ code: 'model-file-invalid', detail: expect.stringMatching(detail) });

describe('a file that is not a complete FLUX GGUF file is rejected with its name, the problem and a remedy:', () => {
  const entry = (name: string, shape: readonly (number | bigint)[], type: number, offset: number | bigint) =>
    Buffer.concat([text(name), uint32(shape.length), ...shape.map(uint64), uint32(type), uint64(offset)]);
  const header = (tensors: number | bigint, keys: number | bigint, ...rest: Buffer[]) =>
    Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(tensors), uint64(keys), ...rest, Buffer.alloc(64)]);
  const most = 2n ** 64n - 1n;

  it.each<[string, Buffer, RegExp]>([
    ['of no bytes', Buffer.alloc(0), /its first four bytes takes 4 bytes from byte 0 on, but it has 0/],
    ['of another kind', Buffer.from('PK and more than that'), /does not begin with "GGUF"/],
    [
      'of version 1',
      Buffer.concat([Buffer.from('GGUF'), uint32(1), Buffer.alloc(99)]),
      /version 1, and 2 and 3/,
    ],
    ['big-endian', Buffer.concat([Buffer.from('GGUF'), uint32(0x03000000)]), /big-endian/],
    ['with absurdly many tensors', header(most, 0), /number of tensors is 1844674407370955/],
    ['with absurdly many keys', header(0, 2n ** 40n), /number of keys is 1099511627776/],
    ['with a key longer than itself', header(0, 1, uint64(most)), /a key at byte 32 has 1844674407370955/],
    [
      'with a key longer than a key',
      header(0, 1, uint64(65536), Buffer.alloc(65536)),
      /a key .* 65536 bytes/,
    ],
    [
      'with a value longer than itself',
      header(0, 1, text('k'), uint32(8), uint64(999)),
      /"k" takes 999 bytes/,
    ],
    [
      'with a vocabulary longer than itself',
      header(0, 1, text('k'), uint32(9), uint32(8), uint64(most)),
      /length of "k" is 1844674407370955/,
    ],
    ['with a value of no type', header(0, 1, text('k'), uint32(13), uint64(0)), /"k" .* type 13/],
    [
      'with arrays in arrays without end',
      header(0, 1, text('k'), uint32(9), ...Array(99).fill(Buffer.concat([uint32(9), uint64(1)]))),
      /"k" has a value of the type 9/,
    ],
    ['with a tensor of 99 axes', header(1, 0, text('w'), uint32(99)), /"w" has 99 axes/],
    ['with a tensor of no elements', header(1, 0, entry('w', [0], 0, 0)), /"w" has the shape \[0\]/],
    ['with a tensor too large to count', header(1, 0, entry('w', [most, most], 0, 0)), /"w" has the shape/],
    [
      'with a tensor beyond its end',
      header(1, 0, entry('w', [64], 0, 0)),
      /"w" lies at bytes .* but there are/,
    ],
    [
      'with a place beyond its end',
      header(1, 0, entry('w', [1], 0, 2n ** 63n)),
      /"w" lies at bytes 9223372036854/,
    ],
    ['with a place between two', header(1, 0, entry('w', [1], 0, 8)), /"w" lies at 8, no multiple of 32/],
    [
      'with a row of no whole blocks',
      header(1, 0, entry('w', [40], 8, 0)),
      /Q8_0 \[40\], whose rows are no blocks of 32/,
    ],
    ['with a tensor twice', header(2, 0, entry('w', [1], 0, 0), entry('w', [1], 0, 0)), /two tensors "w"/],
    [
      'with an alignment of none',
      header(0, 1, text('general.alignment'), uint32(4), uint32(0)),
      /"general.alignment" is 0/,
    ],
  ])('one %s', async (_what, bytes, detail) => {
    const file = await put(bytes);
    const refused = expect(openStored(file)).rejects;
    await refused.toMatchObject(invalid(detail));
    await refused.toMatchObject({
      detail: expect.stringContaining(file),
      remedy: expect.stringContaining('again'),
    });
  });

  it('a language model, by its architecture, whatever its types', async () => {
    const file = await putGGUF(
      { w: { type: 'Q2_K', shape: [256], data: new Uint8Array(84) } },
      { architecture: 'llama' },
    );
    await expect(openStored(file)).rejects.toMatchObject(invalid(/GGUF file of "llama", not of "flux"/));
  });

  it('an unsupported type, with the tensor, the type and the supported ones', async () => {
    const file = await putGGUF({ w: { type: 'Q2_K', shape: [256], data: new Uint8Array(84) } });
    await expect(openStored(file)).rejects.toMatchObject({
      ...invalid(/has "w" as Q2_K, which is not read/),
      remedy: expect.stringContaining('Q4_K_S, Q8_0 or another of these types: Q4_0, Q4_1'),
    });
  });

  it('a file truncated anywhere; with any bytes changed it is read or rejected', async () => {
    const whole = encodeGGUF(small);
    for (let length = 0; length < whole.length - 32; length += length < 400 ? 1 : 97) {
      await expect(openStored(await put(whole.subarray(0, length)))).rejects.toMatchObject({
        code: 'model-file-invalid',
      });
    }
    const noise = new Uint32Array(randn(8, 4000).buffer);
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      const bytes = Uint8Array.from(whole);
      bytes[noise[2 * i]! % 300] = noise[2 * i + 1]! >>> 5;
      await openStored(await put(bytes)).catch(({ code }) => {
        expect(code).toBe('model-file-invalid');
        refused++;
      });
    }
    expect(refused).toBeGreaterThan(100);
  });
});

describe('float16', () => {
  it('rounds to nearest, ties to even', () => {
    const halves = Uint16Array.from({ length: 0x7c00 }, (_, i) => i);
    const values = asFloats(bytesOf(halves), 'F16');
    expect(asFloat16(values)).toEqual(halves);
    expect(asFloat16(values.map((value) => -value))).toEqual(halves.map((half) => half | 0x8000));
    for (let i = 0; i + 1 < values.length; i++) {
      const middle = (values[i]! + values[i + 1]!) / 2;
      const below = middle - (middle - values[i]!) / 1000;
      const above = middle + (middle - values[i]!) / 1000;
      expect([...asFloat16(Float32Array.of(below, middle, above))]).toEqual([i, i + (i & 1), i + 1]);
    }
    expect([...asFloat16(Float32Array.of(65519, 65520, Number.POSITIVE_INFINITY, Number.NaN))]).toEqual([
      0x7bff, 0x7c00, 0x7c00, 0x7e00,
    ]);
  });
});

/** [4, columns] */
const input = randn(9, 4 * columns);

/** The output of a file's layer, computed in two concatenated parts. */
async function layerOutput(file: string): Promise<Float32Array> {
  const graph = Graph.create('layer');
  const x = graph.input('x', 'float32', [4, columns]);
  const [first, second] = new Layers(graph, await WeightsFile.open(file)).linears(layer, x, [8, 16]);
  graph.output('y', graph.concat(1, [first!, second!]));
  const session = await Session.open(graph.finish(), { provider: 'cpu', copiesWeights: false });
  const { y } = await session.run({ x: input }, 'y');
  await session.release();
  return y;
}

function product(weights: Float32Array): Float32Array {
  const biases = randn(6, rows);
  return Float32Array.from({ length: 4 * rows }, (_, i) => {
    const [m, n] = [Math.floor(i / rows), i % rows];
    let sum = biases[n]!;
    for (let k = 0; k < columns; k++) sum += input[m * columns + k]! * weights[n * columns + k]!;
    return sum;
  });
}

describe.each(types)('a layer in %s', (type) => {
  /**
   * Scales and zero points of float16 are off by 2^-12 on average; codes that are fitted, by half a step of
   * 1/127 of the largest.
   */
  const limits: Partial<Record<BlockType, number>> = {
    Q5_1: 5e-3,
    Q5_K: 5e-3,
    Q4_1: 5e-4,
    Q4_K: 5e-4,
    Q6_K: 5e-4,
  };

  it('computes with the dequantized values, also for a slice of the rows', async () => {
    const tensor = blocks(type);
    const file = await putGGUF({ [`${layer}.weight`]: tensor, [`${layer}.bias`]: bias });
    const target = `${file}.${type}.safetensors`;
    await writeBlocks(file, target);
    expect((await readFile(target)).length).toBe(await bytesOfBlocks(file));
    const values = valuesOfBlocks(type, tensor.data);
    const error = relativeError(await layerOutput(target), product(values));
    expect(error).toBeLessThan(limits[type] ?? 1e-6);
  });

  it('handles zero scales and extreme minimums', async () => {
    const { bytes: blockBytes } = blockLayouts[type];
    const data = drawBlocks(type, rows * columns, 0.02, 4);
    // The scale of the first blocks, or all of their numbers.
    const at = type === 'Q6_K' ? 208 : 0;
    for (let i = 0; i < 6; i++)
      data.fill(0, i * blockBytes + at, i * blockBytes + at + (i < 3 ? 2 : blockBytes - at));
    const file = await putGGUF({ [`${layer}.weight`]: { ...blocks(type), data }, [`${layer}.bias`]: bias });
    const target = `${file}.${type}.safetensors`;
    await writeBlocks(file, target);
    const error = relativeError(await layerOutput(target), product(valuesOfBlocks(type, data)));
    expect(error).toBeLessThan(limits[type] ?? 1e-6);
  });

  it('is rejected by name if it is not finite', async () => {
    const data = Uint8Array.from(blocks(type).data);
    data.set([0, 0x7c], type === 'Q6_K' ? 208 : 0);
    const file = await putGGUF({ [`${layer}.weight`]: { ...blocks(type), data } });
    await expect(writeBlocks(file, `${file}.never`)).rejects.toMatchObject(
      invalid(/"double_blocks.0.img_mlp.0.weight" of .* cannot be quantized/),
    );
  });
});

describe('a file written from a GGUF file', () => {
  const mixed = {
    'double_blocks.0.img_attn.qkv.weight': blocks('Q4_0'),
    'double_blocks.0.txt_attn.qkv.weight': blocks('Q5_K'),
    ...small,
    // Some converters quantize these, too.
    'norm.scale': { type: 'Q8_0', shape: [64], data: drawBlocks('Q8_0', 64, 1, 5) },
  } satisfies Record<string, GGUFTensor>;

  it('keeps biases and everything but layers unquantized', async () => {
    const file = await putGGUF(mixed);
    const target = `${file}.kept.safetensors`;
    await quantizeFile(file, target, 4);
    const weights = await WeightsFile.open(target);
    const bytes = async (name: string) => {
      const { offset, length } = weights.get(name).data;
      return (await readFile(target)).subarray(offset, offset + length);
    };
    expect(weights.get(`${layer}.weight`)).toMatchObject({
      shape: [rows, 16, 16],
      zeroPoints: { dtype: 'F16' },
    });
    expect(await bytes(`${layer}.bias`)).toEqual(Buffer.from(bias.data));
    const norm = bytesOf(valuesOfBlocks('Q8_0', mixed['norm.scale'].data));
    expect(await bytes('norm.scale')).toEqual(Buffer.from(norm));
  });

  it('in fewer bits requantizes the layers with more bits and keeps the others', async () => {
    const file = await putGGUF({
      ...mixed,
      [`${layer}.weight`]: blocks('Q8_0'),
      'img_in.weight': blocks('Q8_0'),
    });
    expect(await quantizedFile(file, 8)).toBe(await computedFile(file));
    const target = await quantizedFile(file, 4);
    expect(target).toMatch(/\.4bit\.safetensors$/);
    await quantizeFile(file, target, 4);
    const weights = await WeightsFile.open(target);
    expect(weights.get(`${layer}.weight`).shape).toEqual([rows, columns / 64, 32]);
    expect(weights.get('img_in.weight').shape).toEqual([rows, columns / 32, 32]);
    expect(weights.get('double_blocks.0.img_attn.qkv.weight').shape).toEqual([rows, columns / 32, 16]);
    const error = relativeError(
      await layerOutput(target),
      product(valuesOfBlocks('Q8_0', blocks('Q8_0').data)),
    );
    // Of 16 values for weights that were drawn evenly.
    expect(error).toBeLessThan(0.1);
    expect(error).toBeGreaterThan(0.02);
    const four = await putGGUF(small);
    expect(await quantizedFile(four, 4)).toBe(await computedFile(four));
  });

  it('ends in the same bytes wherever the previous run was interrupted', async () => {
    const file = await putGGUF(mixed);
    const whole = `${file}.whole.safetensors`;
    await writeBlocks(file, whole);
    const wanted = await readFile(whole);
    for (const share of [0, 0.001, 0.1, 0.35, 0.62, 0.999, 1]) {
      const target = `${file}.ended.${share}.safetensors`;
      await writeFile(`${target}.partial`, wanted.subarray(0, Math.floor(wanted.length * share)));
      await writeBlocks(file, target);
      expect(Buffer.compare(await readFile(target), wanted)).toBe(0);
    }
  });
});

describe('a model whose transformer is a GGUF file', () => {
  const id = 'tiny-gguf';
  const modelFolder = () => path.join(folder, 'home/models', id);
  /** The same weights dequantized, in an ordinary file. */
  const plainFolder = () => path.join(folder, 'plain');

  beforeAll(async () => {
    const { inBlocks, plain } = await tinyInBlocks();
    expect(new Set(Object.values(inBlocks).map(({ type }) => type))).toEqual(new Set(['F32', ...types]));
    for (const place of [modelFolder(), plainFolder()]) {
      await mkdir(place, { recursive: true });
      for (const file of ['t5.safetensors', 't5', 'clip.safetensors', 'clip', 'ae.safetensors']) {
        await symlink(path.join(tinyModel.folder, file), path.join(place, file));
      }
    }
    writeGGUF(path.join(modelFolder(), 'transformer.gguf'), inBlocks);
    await writeFile(
      path.join(plainFolder(), 'transformer.safetensors'),
      encodeContainer({ metadata: {}, tensors: plain }),
    );
  });

  it('is not ready until its blocks are written, and says how to write them', async () => {
    expect((await listModels()).map((model) => model.id)).not.toContain(id);
    await expect(findModel(id)).rejects.toMatchObject({
      code: 'model-missing',
      detail: expect.stringContaining('transformer.gguf'),
      remedy: expect.stringContaining(`acepp models install ${id}`),
    });
  });

  const velocityOf = async (entry: ModelEntry) => {
    const networks = await loadNetworks(entry, { provider: 'cpu' });
    const conditioning = await networks.encodePrompt('a red circle');
    const given = randn(2, 6 * 384);
    const step = { conditioning, input: given, rows: 2, columns: 3, sigma: 0.7, guidance: 4 };
    const velocity = await networks.velocity(step);
    await networks.release();
    return velocity;
  };

  it('then runs, with the same result as the unquantized weights', async () => {
    const source = path.join(modelFolder(), 'transformer.safetensors');
    await writeBlocks(source, await computedFile(source));
    const [ours, plain] = [await findModel(id), { ...tinyModel, folder: plainFolder() }];
    // Of small files ONNX Runtime copies the weights, and then rounds activations to 8 bits: 0.007 at each
    // layer.
    expect(relativeError(await velocityOf(ours), await velocityOf(plain))).toBeLessThan(0.03);
    // Large ones are computed with in float32 where they lie: what is left is the rounding of scales, and of
    // Q5_1 and Q5_K.
    const open = Session.open;
    const opened = vi.spyOn(Session, 'open');
    opened.mockImplementation((model, options) => open(model, { ...options, copiesWeights: false }));
    expect(relativeError(await velocityOf(ours), await velocityOf(plain))).toBeLessThan(0.005);
    opened.mockRestore();
  });

  it('is planned with the bytes written', async () => {
    const model = await findModel(id);
    const file = await computedFile(path.join(model.folder, 'transformer.safetensors'));
    const written = await readFile(file);
    const header = 8 + written.readUInt32LE(0);
    expect((await measureModel(model)).form.transformer.bytes).toBe(written.length - header);
  });

  it('has variants with a smaller text encoder, and in 4 bits with a smaller transformer', async () => {
    const model = await findModel(id);
    expect((await formsOf(model)).map((form) => form.id)).toEqual([id]);
    const t5 = path.join(model.folder, 't5.safetensors');
    await rm(t5);
    const wide: Tensor = { dtype: 'F32', shape: [8, 64], data: bytesOf(randn(1, 512)) };
    const tensors = new Map([['encoder.block.0.layer.0.SelfAttention.q.weight', wide]]);
    await writeFile(t5, encodeContainer({ metadata: {}, tensors }));
    await quantizeFile(t5, await quantizedFile(t5, 8), 8);
    const source = path.join(model.folder, 'transformer.gguf');
    const eight = { id: `${id}-8bit`, quantized: { transformer: await computedFile(source) } };
    expect(await formsOf(model)).toMatchObject([{ id }, eight]);
    // In 4 bits its layers of more bits are smaller, too.
    await quantizeFile(t5, await quantizedFile(t5, 4), 4);
    expect(await formsOf(model)).toMatchObject([{ id }, eight]);
    await quantizeFile(source, await quantizedFile(source, 4), 4);
    const four = { id: `${id}-4bit`, quantized: { transformer: await quantizedFile(source, 4) } };
    expect(await formsOf(model)).toMatchObject([{ id }, eight, four]);
  });
});

describe('a GGUF file in parts', () => {
  const uint16 = (value: number): Buffer => {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    return bytes;
  };
  const splitKeys = (part: number, parts: number, tensors: number) => ({
    'split.no': Buffer.concat([uint32(2), uint16(part)]),
    'split.count': Buffer.concat([uint32(2), uint16(parts)]),
    'split.tensors.count': Buffer.concat([uint32(5), uint32(tensors)]),
  });
  const put = async (name: string, tensors: Record<string, GGUFTensor>, keys: Record<string, Buffer>) => {
    const place = path.join(folder, 'parts');
    await mkdir(place, { recursive: true });
    await writeFile(path.join(place, name), encodeGGUF(tensors, { keys }));
    return path.join(place, name);
  };
  const [first, second] = Object.entries(small).map((entry) => Object.fromEntries([entry]));

  it('is read as one file, also through a link to its first part', async () => {
    const file = await put('flux-00001-of-00002.gguf', first!, splitKeys(0, 2, 2));
    await put('flux-00002-of-00002.gguf', second!, splitKeys(1, 2, 2));
    const link = path.join(folder, 'linked.gguf');
    await symlink(file, link);
    for (const place of [file, link]) {
      const weights = await WeightsFile.open(place);
      expect([...weights.names].sort()).toEqual(Object.keys(small).sort());
      expect(weights.get(`${layer}.bias`).data.file).toMatch(/flux-00002-of-00002\.gguf$/);
    }
  });

  it('is rejected, naming the missing part', async () => {
    const file = await put('half-00001-of-00003.gguf', first!, splitKeys(0, 3, 3));
    await put('half-00003-of-00003.gguf', second!, splitKeys(2, 3, 3));
    await expect(openStored(file)).rejects.toMatchObject(
      invalid(/part 1 of 3 of a GGUF file; missing: .*half-00002-of-00003\.gguf/),
    );
  });

  it('is rejected if its name does not lead to the others, or if tensors are missing', async () => {
    const alone = await put('renamed.gguf', first!, splitKeys(0, 2, 2));
    await expect(openStored(alone)).rejects.toMatchObject(invalid(/part 1 of 2 .*"-00001-of-00002\.gguf"/));
    const file = await put('few-00001-of-00002.gguf', first!, splitKeys(0, 2, 9));
    await put('few-00002-of-00002.gguf', second!, splitKeys(1, 2, 9));
    await expect(openStored(file)).rejects.toMatchObject(invalid(/have 2 tensors, but should have 9/));
  });
});
