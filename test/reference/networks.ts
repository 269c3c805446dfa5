import path from 'node:path';
import type { Model } from '../../server/graph/encode.ts';
import { type Arrays, Session } from '../../server/graph/session.ts';
import { buildDecoder, buildEncoder } from '../../server/models/autoencoder.ts';
import { buildCLIP } from '../../server/models/clip.ts';
import { buildFlux, fluxSizes, rotaryTables, sinusoidalEmbedding } from '../../server/models/flux.ts';
import { buildT5 } from '../../server/models/t5.ts';
import { WeightsFile } from '../../server/weights/file.ts';
import type { LineOf } from './lines.ts';
import { type Row, readArrays, withinRelative } from './measure.ts';

/** Of float32 sums in another order. */
const limit = 1e-4;

async function compute(model: Model, inputs: Arrays, output: string): Promise<Float32Array> {
  const session = await Session.open(model, { provider: 'cpu', copiesWeights: false });
  const results = await session.run(inputs, output);
  await session.release();
  return results[output]!;
}

const openWeights = (folder: string, line: { readonly weights: string }) =>
  WeightsFile.open(path.join(folder, line.weights));

export async function compareFlux(folder: string, line: LineOf<'flux'>): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const file = await openWeights(folder, line);
  const sizes = fluxSizes(file);
  const [rows = 0, columns = 0] = array.floats('grid');
  const [textTokens = 0] = array.shape('text');
  const velocity = await compute(
    buildFlux(file, rows * columns, textTokens),
    {
      image: array.floats('image'),
      text: array.floats('text'),
      vector: array.floats('vector'),
      timestep: sinusoidalEmbedding(array.floats('sigma')[0]!),
      ...(sizes.hasGuidance && { guidance: sinusoidalEmbedding(array.floats('guidance')[0]!) }),
      ...rotaryTables(sizes.headSize, textTokens, rows, columns),
    },
    'velocity',
  );
  return [withinRelative(line, '', velocity, array.floats('velocity'), limit)];
}

export async function compareT5(folder: string, line: LineOf<'t5'>): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const tokens = asTokens(array.integers('tokens'));
  const text = await compute(buildT5(await openWeights(folder, line), tokens.length), { tokens }, 'text');
  return [withinRelative(line, '', text, array.floats('text'), limit)];
}

export async function compareCLIP(folder: string, line: LineOf<'clip'>): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const tokens = asTokens(array.integers('tokens'));
  const inputs = { tokens, end: asTokens(array.integers('end')) };
  const vector = await compute(buildCLIP(await openWeights(folder, line), tokens.length), inputs, 'vector');
  return [withinRelative(line, '', vector, array.floats('vector'), limit)];
}

export async function compareAutoencoder(folder: string, line: LineOf<'autoencoder'>): Promise<Row[]> {
  const array = readArrays(folder, line.arrays);
  const file = await openWeights(folder, line);
  const [image, latent] = [array.floats('image'), array.floats('latent')];
  const [, height = 0, width = 0] = array.shape('image');
  const encoded = await compute(buildEncoder(file, height, width), { image }, 'latent');
  const decoded = await compute(buildDecoder(file, height / 8, width / 8), { latent }, 'image');
  return [
    withinRelative(line, 'encode', encoded, latent, limit),
    withinRelative(line, 'decode', decoded, array.floats('decoded'), limit),
  ];
}

function asTokens(values: Int32Array): BigInt64Array {
  return BigInt64Array.from(values, BigInt);
}
