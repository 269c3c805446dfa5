import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Model } from '../../../server/graph/encode.ts';
import { type Arrays, Session } from '../../../server/graph/session.ts';
import { buildDecoder, buildEncoder } from '../../../server/models/autoencoder.ts';
import { buildCLIP } from '../../../server/models/clip.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from '../../../server/models/flux.ts';
import { buildT5 } from '../../../server/models/t5.ts';
import { openTokenizer } from '../../../server/models/tokenizers.ts';
import { WeightsFile } from '../../../server/weights/file.ts';
import { arraysFolder, readArrays, relativeError, tinyModel } from './arrays.ts';

/** Of float32 sums in another order. */
const float32Error = 1e-4;

async function compute(model: Model, inputs: Arrays, output: string): Promise<Float32Array> {
  const session = await Session.open(model, { provider: 'cpu', copiesWeights: false });
  const results = await session.run(inputs, output);
  await session.release();
  return results[output]!;
}

const tiny = (name: string) => WeightsFile.open(path.join(tinyModel.folder, name));
const asIntegers = (values: Float32Array) => BigInt64Array.from(values, BigInt);

describe('the transformer computes what diffusers computes', () => {
  it.each([
    ['384 input columns in float32', 'flux384.safetensors', 'tiny/transformer.safetensors', 384],
    ['448 input columns in float16', 'flux448.safetensors', 'fft-float16.safetensors', 448],
  ])('with %s', async (_, arrays, weights, columns) => {
    const array = readArrays(arrays);
    const file = await WeightsFile.open(path.join(arraysFolder, weights));
    const sizes = fluxSizes(file);
    expect(sizes).toEqual({
      inputColumns: columns,
      headSize: 32,
      textWidth: 32,
      vectorWidth: 128,
      hasGuidance: true,
    });
    const [rows = 0, width = 0] = array('grid').data;
    const textTokens = array('text').shape[0]!;
    const velocity = await compute(
      buildFlux(file, rows * width, textTokens),
      {
        image: array('image').data,
        text: array('text').data,
        vector: array('vector').data,
        timestep: sinusoidalEmbedding(array('sigma').data[0]!),
        guidance: sinusoidalEmbedding(array('guidance').data[0]!),
        ...rotaryTables(sizes.headSize, textTokens, rows, width),
      },
      'velocity',
    );
    expect(relativeError(velocity, array('velocity').data)).toBeLessThan(float32Error);
  });
});

describe('the text encoders compute what transformers computes', () => {
  it('T5, with every bucket of the relative distance', async () => {
    const array = readArrays('t5.safetensors');
    const tokens = array('tokens').data;
    const text = await compute(
      buildT5(await tiny('t5.safetensors'), tokens.length),
      { tokens: asIntegers(tokens) },
      'text',
    );
    expect(relativeError(text, array('text').data)).toBeLessThan(float32Error);
  });

  it('CLIP in bfloat16, pooled at the end of the text', async () => {
    const array = readArrays('clip.safetensors');
    const tokens = array('tokens').data;
    const inputs = { tokens: asIntegers(tokens), end: asIntegers(array('end').data) };
    const vector = await compute(buildCLIP(await tiny('clip.safetensors'), tokens.length), inputs, 'vector');
    expect(relativeError(vector, array('vector').data)).toBeLessThan(float32Error);
  });
});

describe('the autoencoder computes what diffusers computes', () => {
  const array = readArrays('autoencoder.safetensors');
  const [image, latent, decoded] = [array('image'), array('latent'), array('decoded')];

  it('from an image to its latent', async () => {
    const [, height = 0, width = 0] = image.shape;
    const model = buildEncoder(await tiny('ae.safetensors'), height, width);
    expect(relativeError(await compute(model, { image: image.data }, 'latent'), latent.data)).toBeLessThan(
      float32Error,
    );
  });

  it('from a latent to an image', async () => {
    const [, height = 0, width = 0] = latent.shape;
    const model = buildDecoder(await tiny('ae.safetensors'), height, width);
    expect(relativeError(await compute(model, { latent: latent.data }, 'image'), decoded.data)).toBeLessThan(
      float32Error,
    );
  });
});

describe('the tokenizers give the tokens of Hugging Face’s own', () => {
  const expected = JSON.parse(readFileSync(path.join(arraysFolder, 'tokens.json'), 'utf8')) as Record<
    'texts' | 't5' | 'clip',
    never[]
  >;

  it.each(['t5', 'clip'] as const)('%s: padded, truncated before the end of the text', async (name) => {
    const folder = path.join(tinyModel.folder, name);
    const special = name === 't5' ? ['{image}'] : [];
    const tokenizer = await openTokenizer(
      path.join(folder, 'tokenizer.json'),
      path.join(folder, 'tokenizer_config.json'),
      99,
      special,
    );
    const encodings = expected.texts.map((text) => [...tokenizer.encode(text).ids].map(Number));
    expect(encodings).toEqual(expected[name]);
  });
});
