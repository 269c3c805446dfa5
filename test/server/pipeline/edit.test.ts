import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { Latent, ModelSpec, Networks, PlanarImage } from '../../../server/models/networks.ts';
import { type EditHooks, runEdit } from '../../../server/pipeline/edit.ts';
import { readEditInput } from '../../../server/pipeline/input.ts';
import { encodeLayer, type FinishedLayer } from '../../../server/pipeline/layer.ts';
import { composite } from '../../../shared/composite.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { Raster } from '../../../shared/image.ts';
import type { EditEventBody } from '../../../shared/protocol/events.ts';
import type { Container, Tensor } from '../../../shared/safetensors.ts';
import { decodeContainer, encodeContainer } from '../../../shared/safetensors.ts';

/**
 * Networks whose autoencoder takes means of 8x8 and whose transformer points straight at the condition plus a
 * bit of the noise: enough to see where every pixel goes. The real networks have tests of their own.
 */
function plainNetworks(inChannels: ModelSpec['inChannels'] = 384): Networks & { sizes: string[] } {
  const sizes: string[] = [];
  return {
    sizes,
    spec: {
      id: 'plain',
      family: 'fill',
      inChannels,
      maxSequence: 64,
    },
    provider: 'cpu',
    async encodePrompt() {
      return { text: new Float32Array(4), textTokens: 1, pooled: new Float32Array(4) };
    },
    async vaeEncode({ data, width, height }: PlanarImage): Promise<Latent> {
      sizes.push(`${width}x${height}`);
      const [w, h] = [width / 8, height / 8];
      const latent = new Float32Array(16 * w * h);
      for (let i = 0; i < data.length; i++) {
        const c = Math.floor(i / (width * height));
        const [x, y] = [i % width, Math.floor(i / width) % height];
        latent[(c * h + (y >> 3)) * w + (x >> 3)]! += data[i]! / 64;
      }
      return { data: latent, channels: 16, width: w, height: h };
    },
    async vaeDecode({ data, width, height }: Latent): Promise<PlanarImage> {
      const [w, h] = [width * 8, height * 8];
      const image = new Float32Array(3 * w * h);
      for (let i = 0; i < image.length; i++) {
        const c = Math.floor(i / (w * h));
        image[i] = data[(c * height + ((Math.floor(i / w) % h) >> 3)) * width + ((i % w) >> 3)]!;
      }
      return { data: image, width: w, height: h };
    },
    async listAdapters() {
      return [];
    },
    async adapterDefaults() {
      return {};
    },
    async openAdapters() {
      return [];
    },
    stepOperations: (tokens) => tokens,
    async velocity({ input, rows, columns, sigma }) {
      const velocity = new Float32Array(rows * columns * 64);
      for (let i = 0; i < velocity.length; i++) {
        const token = Math.floor(i / 64) * inChannels;
        const noise = input[token + (i % 64)]!;
        velocity[i] = (noise - (input[token + 64 + (i % 64)]! + 0.1 * noise)) / Math.max(sigma, 0.1);
      }
      return velocity;
    },
    async release() {},
  };
}

function u8(shape: number[], at: (i: number) => number): Tensor {
  const data = new Uint8Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) data[i] = at(i);
  return { dtype: 'U8', shape, data };
}

const file = (data: Uint8Array): Tensor => ({ dtype: 'U8', shape: [data.length], data });
const ramp = (height: number, width: number, channels = 3) =>
  u8([height, width, channels], (i) => (i * 7) % 251);
const box = (height: number, width: number, [l, t, r, b]: number[]) =>
  u8([height, width], (i) =>
    i % width >= l! && i % width < r! && i >= t! * width && i < b! * width ? 255 : 0,
  );

function asking(tensors: Record<string, Tensor>, request: object = {}): Container {
  return {
    metadata: {
      request: JSON.stringify({ version: 1, instruction: 'a red circle', seed: 7, steps: 4, ...request }),
    },
    tensors: new Map(Object.entries(tensors)),
  };
}

async function run(container: Container, networks = plainNetworks(), checkpoint = async () => {}) {
  const events: EditEventBody[] = [];
  const layers: FinishedLayer[] = [];
  const hooks: EditHooks = {
    emit: (event) => events.push(event),
    checkpoint,
    deliver: async (layer) => {
      layers.push(layer);
    },
  };
  const input = await readEditInput(container);
  await runEdit(networks, input, hooks);
  return { input, events, layers };
}

const asRaster = ({ pixels, result }: FinishedLayer): Raster => ({
  width: result.bounds.width,
  height: result.bounds.height,
  channels: 4,
  data: pixels,
});

const refusal = async (container: Container): Promise<CodedError> => {
  const thrown = await readEditInput(container).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(CodedError);
  return thrown as CodedError;
};

describe('an edit', () => {
  it('leaves every byte outside the mask unchanged and changes what is inside', async () => {
    const mask = box(150, 200, [60, 40, 120, 90]);
    const { input, layers } = await run(asking({ edit: ramp(150, 200), mask }));
    const layer = layers[0]!;
    expect(layer.result.bounds).toEqual({ left: 60, top: 40, width: 60, height: 50 });
    const document = input.edit!;
    const result = composite(document, asRaster(layer), layer.result.bounds);
    let changed = 0;
    for (let i = 0; i < document.data.length; i++) {
      if (mask.data[Math.floor(i / 3)] === 0) expect(result.data[i]).toBe(document.data[i]);
      else if (result.data[i] !== document.data[i]) changed++;
    }
    expect(changed).toBeGreaterThan(60 * 50 * 2);
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    const tensors = { edit: ramp(64, 64), mask: box(64, 64, [8, 8, 50, 50]) };
    const [a, b, c] = await Promise.all([7, 7, 8].map((seed) => run(asking(tensors, { seed }))));
    expect(a!.layers[0]!.pixels).toEqual(b!.layers[0]!.pixels);
    expect(a!.layers[0]!.pixels).not.toEqual(c!.layers[0]!.pixels);
  });

  it('makes variant k from seed + k, sharing the encodings', async () => {
    const tensors = { edit: ramp(64, 64), mask: box(64, 64, [8, 8, 50, 50]) };
    const networks = plainNetworks();
    const { layers } = await run(asking(tensors, { variants: 2 }), networks);
    const { layers: alone } = await run(asking(tensors, { seed: 8 }));
    expect(layers.map((layer) => layer.result.seed)).toEqual([7, 8]);
    expect(layers[1]!.pixels).toEqual(alone[0]!.pixels);
    expect(networks.sizes).toHaveLength(1);
  });

  it('puts references to the left of the target and reports their cost', async () => {
    const networks = plainNetworks();
    const { layers, events } = await run(
      asking({ edit: ramp(128, 128), mask: box(128, 128, [0, 0, 128, 128]), 'reference.0': ramp(50, 50) }),
      networks,
    );
    expect(layers[0]!.result.task).toBe('local-reference-editing');
    expect(layers[0]!.result.workSize).toEqual({ width: 80, height: 80 });
    expect(networks.sizes).toEqual(['160x80']);
    const notes = events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
    expect(notes).toContainEqual(expect.stringContaining('lower this edit to 80 x 80'));
    expect(layers[0]!.result.bounds.width).toBe(128);
  });

  it('uses no more tokens than fit in memory, whatever is requested', async () => {
    const networks = plainNetworks();
    const little = { ...networks, spec: { ...networks.spec, fittingSequence: 16 } };
    const container = asking(
      { edit: ramp(128, 128), mask: box(128, 128, [0, 0, 128, 128]) },
      { window: { maxSequence: 64 } },
    );
    expect((await run(container, networks)).layers[0]!.result.workSize).toEqual({ width: 128, height: 128 });
    expect((await run(container, little)).layers[0]!.result.workSize).toEqual({ width: 64, height: 64 });
  });

  it('gives the FFT model its change image', async () => {
    const networks = plainNetworks(448);
    await run(asking({ edit: ramp(64, 64), mask: box(64, 64, [8, 8, 50, 50]) }), networks);
    expect(networks.sizes).toEqual(['64x64', '64x64']);
  });

  it('keeps 16 bits', async () => {
    const data = new Uint8Array(new Uint16Array(64 * 64 * 3).map((_, i) => i * 5).buffer);
    const edit: Tensor = { dtype: 'U16', shape: [64, 64, 3], data };
    const { layers } = await run(asking({ edit, mask: box(64, 64, [8, 8, 50, 50]) }));
    expect(layers[0]!.pixels).toBeInstanceOf(Uint16Array);
    expect(Math.max(...layers[0]!.pixels)).toBe(65535);
    const travelled = decodeContainer(encodeContainer(encodeLayer(layers[0]!)));
    expect(travelled.tensors.get('layer')).toMatchObject({ dtype: 'U16', shape: [42, 42, 4] });
    expect(JSON.parse(travelled.metadata.bounds!)).toEqual({ left: 8, top: 8, width: 42, height: 42 });
  });

  it('creates a picture from nothing at the requested size', async () => {
    const { layers } = await run(asking({}, { width: 100, height: 60 }));
    expect(layers[0]!.result).toMatchObject({
      task: 'text-to-image',
      bounds: { left: 0, top: 0, width: 100, height: 60 },
    });
    expect(layers[0]!.pixels[3]).toBe(255);
  });

  it('outpaints a picture, at negative bounds', async () => {
    const { layers } = await run(
      asking({ edit: ramp(40, 40) }, { task: 'outpaint', width: 80, height: 40, instruction: '' }),
    );
    expect(layers[0]!.result.bounds).toEqual({ left: -20, top: 0, width: 80, height: 40 });
    const { pixels } = layers[0]!;
    expect([pixels[3], pixels[40 * 4 + 3]]).toEqual([255, 0]);
    // No seam: the area outside the picture is covered up to its very edge.
    const row = Array.from({ length: 80 }, (_, x) => pixels[x * 4 + 3]);
    expect(row).toEqual([...Array(20).fill(255), ...Array(40).fill(0), ...Array(20).fill(255)]);
  });

  it('covers transparent areas as painted, and only softens its edge over existing pixels', async () => {
    const edit = u8([64, 64, 4], (i) => (i % 4 < 3 ? 90 : (i >> 2) % 64 < 32 ? 0 : 255));
    const { layers } = await run(asking({ edit, mask: box(64, 64, [10, 10, 54, 54]) }));
    const { bounds } = layers[0]!.result;
    expect(bounds).toEqual({ left: 10, top: 10, width: 44, height: 44 });
    const middle = Array.from({ length: 44 }, (_, x) => layers[0]!.pixels[(22 * 44 + x) * 4 + 3]!);
    expect(middle.slice(0, 40).every((alpha) => alpha === 255)).toBe(true);
    expect(middle.at(-1)).toBeLessThan(255);
  });

  it('reports stages and steps in order, with previews before the end', async () => {
    const tensors = { edit: ramp(64, 64), mask: box(64, 64, [8, 8, 50, 50]) };
    const { events } = await run(asking(tensors, { preview: true }));
    expect(events.flatMap((event) => (event.type === 'stage' ? [event.stage] : []))).toEqual([
      'encoding',
      'denoising',
      'decoding',
      'compositing',
    ]);
    const steps = events.filter((event) => event.type === 'step');
    expect(steps.map((event) => event.step)).toEqual([1, 2, 3, 4]);
    const jpeg = Buffer.from(steps[0]!.preview!, 'base64');
    expect(await sharp(jpeg).metadata()).toMatchObject({ format: 'jpeg', width: 42, height: 42 });
    expect(steps[0]!.previewBounds).toEqual({ left: 8, top: 8, width: 42, height: 42 });
  });

  it('stops between two steps when the checkpoint throws', async () => {
    let asked = 0;
    const checkpoint = async () => {
      if (++asked === 5) throw new CodedError('cancelled', { detail: 'Cancelled.', remedy: 'Start again.' });
    };
    const edit = asking({ edit: ramp(64, 64), mask: box(64, 64, [8, 8, 50, 50]) });
    await expect(run(edit, plainNetworks(), checkpoint)).rejects.toMatchObject({ code: 'cancelled' });
    expect(asked).toBe(5);
  });
});

const deepPNG = (values: readonly number[]) =>
  sharp(Uint16Array.from(values), { raw: { width: 1, height: 1, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toBuffer();

/** The PNG with an iCCP chunk, its values as they are: sharp would convert them. */
async function withProfile(png: Buffer, profile: string): Promise<Buffer> {
  const carrier = await sharp({ create: { width: 1, height: 1, channels: 3, background: '#000' } })
    .withIccProfile(profile)
    .png()
    .toBuffer();
  const { icc } = await sharp(carrier).metadata();
  const body = Buffer.concat([Buffer.from('iCCPprofile\0\0', 'latin1'), deflateSync(icc!)]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length - 4);
  checksum.writeUInt32BE(crc32(body));
  const afterHeader = 8 + 25;
  return Buffer.concat([png.subarray(0, afterHeader), length, body, checksum, png.subarray(afterHeader)]);
}

describe('the input', () => {
  const png = (pixels: Uint8Array, width: number, height: number, channels: 1 | 2 | 3 | 4) =>
    sharp(pixels, { raw: { width, height, channels } }).png().toBuffer();

  it('is turned upright by its EXIF orientation', async () => {
    const jpeg = await sharp(new Uint8Array(20 * 10 * 3), { raw: { width: 20, height: 10, channels: 3 } })
      .jpeg()
      .withMetadata({ orientation: 6 })
      .toBuffer();
    const { edit } = await readEditInput(asking({ 'edit.jpg': file(jpeg) }));
    expect(edit).toMatchObject({ width: 10, height: 20 });
  });

  it('becomes RGB from grey, keeps alpha, and keeps 16 bits', async () => {
    const grey = await readEditInput(
      asking({ 'edit.png': file(await png(new Uint8Array(4).fill(90), 2, 2, 1)) }),
    );
    expect(grey.edit).toMatchObject({ channels: 3 });
    expect([...grey.edit!.data]).toEqual(Array(12).fill(90));
    const clear = await readEditInput(
      asking({ 'edit.png': file(await png(Uint8Array.of(200, 10, 30, 40), 1, 1, 4)) }),
    );
    expect([...clear.edit!.data]).toEqual([200, 10, 30, 40]);
    const deep = await sharp(Uint16Array.of(1000, 30000, 65535), {
      raw: { width: 1, height: 1, channels: 3 },
    })
      .toColourspace('rgb16')
      .png()
      .toBuffer();
    const { edit } = await readEditInput(asking({ 'edit.png': file(deep) }));
    expect(edit!.data).toBeInstanceOf(Uint16Array);
    expect([...edit!.data]).toEqual([1000, 30000, 65535]);
  });

  it.each([
    ['sRGB', 'srgb', [50000, 20000, 15000], [50000, 20000, 15000], 0.001],
    // Zero and full are where a way through Display P3 costs most.
    ['sRGB', 'srgb', [65535, 7128, 0], [65535, 7128, 0], 0.02],
    ['Display P3', 'p3', [60206, 15262, 9000], [65535, 7128, 0], 0.02],
  ] as const)('with 16 bits comes to sRGB from %s by its profile', async (_, profile, stored, wanted, error) => {
    const edit = file(await withProfile(await deepPNG(stored), profile));
    const { data } = (await readEditInput(asking({ 'edit.png': edit }))).edit!;
    for (const [i, value] of wanted.entries()) expect(Math.abs(data[i]! - value) / 65535).toBeLessThan(error);
  });

  it('reads a mask painted in one colour by its alpha, even if its faint edge was rounded', async () => {
    const pixels: number[] = [];
    for (let alpha = 0; alpha < 256; alpha++) {
      // As a canvas returns it: multiplied by alpha, rounded, and divided again.
      const kept = [200, 80, 30].map((c) => Math.round((Math.round((c * alpha) / 255) * 255) / (alpha || 1)));
      pixels.push(...kept, alpha);
    }
    const strokes = await png(Uint8Array.from(pixels), 256, 1, 4);
    const { mask } = await readEditInput(asking({ edit: ramp(1, 256), 'mask.png': file(strokes) }));
    const wanted = Array.from({ length: 256 }, (_, i) => (i < 5 ? 0 : i > 250 ? 255 : i));
    expect([...mask!.data]).toEqual(wanted);
  });

  it('reads a mask painted on transparency by its alpha', async () => {
    const strokes = await png(Uint8Array.of(0, 0, 0, 255, 0, 0, 0, 0), 2, 1, 4);
    const { mask } = await readEditInput(asking({ edit: ramp(1, 2), 'mask.png': file(strokes) }));
    expect([...mask!.data]).toEqual([255, 0]);
  });

  it('scales a mask of the same proportions with a note, and rejects others', async () => {
    const { mask, notes } = await readEditInput(
      asking({ edit: ramp(30, 40), mask: box(60, 80, [0, 0, 40, 60]) }),
    );
    expect(mask).toMatchObject({ width: 40, height: 30 });
    expect([mask!.data[0], mask!.data[39]]).toEqual([255, 0]);
    expect(notes[0]).toContain('80 x 60');
    const error = await refusal(asking({ edit: ramp(30, 40), mask: box(60, 60, [0, 0, 40, 60]) }));
    expect(error.code).toBe('mask-size');
    expect(error.detail).toContain('60 x 60');
  });

  it.each([
    ['mask-empty', asking({ edit: ramp(8, 8), mask: box(8, 8, [0, 0, 0, 0]) })],
    ['instruction-empty', asking({ edit: ramp(8, 8) }, { instruction: ' ' })],
    ['task-needs', asking({ edit: ramp(8, 8) }, { task: 'inpaint' })],
    ['task-needs', asking({ edit: ramp(8, 8) }, { task: 'outpaint' })],
    ['image-invalid', asking({ edit: u8([8, 8], () => 0) })],
    ['image-invalid', asking({ 'edit.png': file(Uint8Array.of(1, 2, 3)) })],
    ['request-invalid', asking({ edit: ramp(8, 8), 'reference.1': ramp(8, 8) })],
    ['request-invalid', asking({ picture: ramp(8, 8) })],
    [
      'request-invalid',
      asking(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`reference.${i}`, ramp(8, 8)]))),
    ],
  ] as const)('is refused as %s', async (code, container) => {
    expect((await refusal(container)).code).toBe(code);
  });

  it('is rejected before decoding if it is a decompression bomb', async () => {
    const bomb = await sharp({ create: { width: 12_000, height: 9_000, channels: 3, background: '#000' } })
      .png()
      .toBuffer();
    const error = await refusal(asking({ 'edit.png': file(bomb) }));
    expect(error.code).toBe('too-large');
    expect(error.detail).toContain('12000 x 9000');
  });

  it('is rejected by file name if truncated', async () => {
    const whole = await png(
      new Uint8Array(64 * 64 * 3).map((_, i) => i * 31),
      64,
      64,
      3,
    );
    const error = await refusal(
      asking({ edit: ramp(8, 8), 'reference.0.png': file(whole.subarray(0, 200)) }),
    );
    expect(error).toMatchObject({
      code: 'image-invalid',
      detail: expect.stringContaining('reference 1'),
    });
  });
});
