/** FLUX.1's VAE (black-forest-labs/flux, modules/autoencoder.py), over files with its key layout. */

import { invalidFile, type WeightsFile } from '../checkpoints/weights-file.ts';
import type { Model } from '../graph/encode.ts';
import { Graph } from '../graph/graph.ts';
import { type AttentionForm, float32 } from '../graph/precision.ts';
import { mapTuple, sizeAlong, type Value } from '../graph/value.ts';
import { Layers } from '../nn/layers.ts';

/** The VAE's downscaling factor from pixels to latents. */
export const latentFactor = 8;

/** Added to a variance before dividing by it. */
export const epsilon = 1e-6;
/** autoencoder.py: `GroupNorm(num_groups=32)`; a file can override it with `norm_groups`. */
const defaultGroups = 32;
/** util.py, `AutoEncoderParams` of FLUX.1: scale_factor and shift_factor; a file can override them. */
const defaultScale = 0.3611;
const defaultShift = 0.1159;

/**
 * Input `image` [1, 3, height, width], output `latent` [1, C, height / 8, width / 8]: the posterior's mean,
 * shifted and scaled.
 */
export function buildVAEEncoder(
  file: WeightsFile,
  height: number,
  width: number,
  attention: AttentionForm = 'fused',
): Model {
  const part = start(file, 'encoder', attention);
  const normalize = ownNorm(part.groups);
  const features = down(part.net, part.graph.input('image', 'float32', [1, 3, height, width]), normalize);
  return finishEncoder(part, features);
}

/** Input `latent` [1, C, height, width], output `image` [1, 3, height * 8, width * 8]. */
export function buildVAEDecoder(
  file: WeightsFile,
  height: number,
  width: number,
  attention: AttentionForm = 'fused',
): Model {
  const part = start(file, 'decoder', attention);
  part.graph.output('image', up(part.net, beginDecoder(part, file, height, width), ownNorm(part.groups)));
  return part.graph.finish();
}

// The same in parts, for images too large to process at once: the middle, which is small and attends to the
// whole image, and the levels in stages that can run tile by tile.

/** Input `features` [1, F, height, width], output `latent` [1, C, height, width]. */
export function buildVAEEncoderMiddle(
  file: WeightsFile,
  height: number,
  width: number,
  attention: AttentionForm = 'fused',
): Model {
  const part = start(file, 'encoder', attention);
  const [, channels = 0] = file.get('encoder.mid.block_1.conv1.weight').shape;
  return finishEncoder(part, part.graph.input('features', 'float32', [1, channels, height, width]));
}

/** Input `latent` [1, C, height, width], output `features` [1, F, height, width]. */
export function buildVAEDecoderMiddle(
  file: WeightsFile,
  height: number,
  width: number,
  attention: AttentionForm = 'fused',
): Model {
  const part = start(file, 'decoder', attention);
  part.graph.output('features', beginDecoder(part, file, height, width));
  return part.graph.finish();
}

/**
 * A step of the levels, from one convolution to the next: a tile's output depends only on the tile and a
 * margin around it, as long as its group norm is given the mean and variance of the whole image.
 */
export interface Stage {
  /**
   * `opens` a residual block, whose input must be kept; `closes` it, with that as the input `skip`; or
   * neither.
   */
  readonly block?: 'opens' | 'closes';
  /**
   * Takes the inputs `mean` and `factor` [groups, 1, 1] (the reciprocal of the deviation) of its input `x`.
   */
  readonly normalizes: boolean;
  /** Output size relative to input size. */
  readonly scale: number;
  /** Input `x` [1, I, height, width], output `y` [1, O, height * scale, width * scale]. */
  build(height: number, width: number): Model;
}

/**
 * The margin that a stage's output depends on, in pixels of its input; a multiple of 2 for stages that
 * downsample by 2.
 */
export const stageReach = 2;

/** From the image to the features of `buildVAEEncoderMiddle`. */
export function vaeEncoderStages(file: WeightsFile): Stage[] {
  const at = stagesOf(file, 'encoder');
  const stages = [at.plain('conv_in')];
  start(file, 'encoder')
    .net.list('down', 'block.0.conv1.weight')
    .forEach((level, n) => {
      stages.push(...at.blocks(`down.${n}`, level));
      if (level.has('downsample.conv.weight')) stages.push(at.halved(`down.${n}`));
    });
  return stages;
}

/** From the features of `buildVAEDecoderMiddle` to the image. */
export function vaeDecoderStages(file: WeightsFile): Stage[] {
  const at = stagesOf(file, 'decoder');
  const levels = start(file, 'decoder').net.list('up', 'block.0.conv1.weight');
  const stages = levels
    .map((level, n) => [
      ...at.blocks(`up.${n}`, level),
      ...(level.has('upsample.conv.weight') ? [at.doubled(`up.${n}`)] : []),
    ])
    // Reorder from the coarsest level to the finest.
    .reverse()
    .flat();
  return [...stages, at.end()];
}

/** The number of groups that the norms divide their channels into. */
export function normGroups(file: WeightsFile): number {
  return file.number('norm_groups', defaultGroups);
}

function stagesOf(file: WeightsFile, part: 'encoder' | 'decoder') {
  /** `channels` are those of the first tensor applied to the input: [O, I, ...], or [I] for a norm. */
  function stage(
    kind: Pick<Stage, 'block' | 'normalizes' | 'scale'>,
    [path, tensor, axis]: readonly [path: string, tensor: string, axis: 0 | 1],
    compute: (net: Layers, x: Value, skip: () => Value, normalize: Normalize) => Value,
  ): Stage {
    return {
      ...kind,
      build(height, width) {
        const { graph, net, groups } = start(file, part);
        const layers = path === '' ? net : net.at(path);
        const input = (name: string, weight: string, of: 0 | 1) => {
          const channels = layers.shape(weight)[of] ?? 0;
          return graph.input(name, 'float32', [1, channels, height, width]);
        };
        const x = input('x', tensor, axis);
        const skip = () => {
          const weight = layers.has('nin_shortcut.weight') ? 'nin_shortcut.weight' : 'conv1.weight';
          return input('skip', weight, 1);
        };
        graph.output('y', compute(layers, x, skip, givenNorm(groups)));
        return graph.finish();
      },
    };
  }
  const plain = { normalizes: false, scale: 1 };
  return {
    plain: (name: string) =>
      stage(plain, ['', `${name}.weight`, 1], (net, x) => net.convolution(name, x, same)),
    blocks: (path: string, level: Layers) =>
      level.list('block', 'conv1.weight').flatMap((_, n) => {
        const block = `${path}.block.${n}`;
        return [
          stage(
            { block: 'opens', normalizes: true, scale: 1 },
            [block, 'norm1.weight', 0],
            (net, x, _skip, normalize) => convolved(net, 1, x, normalize),
          ),
          stage(
            { block: 'closes', normalizes: true, scale: 1 },
            [block, 'norm2.weight', 0],
            (net, x, skip, normalize) => joined(net, skip(), convolved(net, 2, x, normalize)),
          ),
        ];
      }),
    halved: (path: string) => stage({ ...plain, scale: 1 / 2 }, [path, 'downsample.conv.weight', 1], halve),
    doubled: (path: string) => stage({ ...plain, scale: 2 }, [path, 'upsample.conv.weight', 1], double),
    end: () =>
      stage({ normalizes: true, scale: 1 }, ['', 'norm_out.weight', 0], (net, x, _skip, normalize) =>
        net.convolution('conv_out', net.graph.silu(normalize(net, 'norm_out', x)), same),
      ),
  };
}

/** 16 in FLUX.1. */
export function latentChannels(file: WeightsFile): number {
  return file.get('decoder.conv_in.weight').shape[1] ?? 0;
}

/** A 3x3 convolution that preserves the size. */
const same = { pads: [1, 1, 1, 1] } as const;

interface Part {
  readonly graph: Graph;
  readonly net: Layers;
  readonly groups: number;
  readonly scale: number;
  readonly shift: number;
}

function start(file: WeightsFile, part: 'encoder' | 'decoder', attention: AttentionForm = 'fused'): Part {
  const graph = Graph.create(`VAE's ${part}`, { ...float32, attention });
  const groups = normGroups(file);
  const [channels = 0] = file.get(`${part}.norm_out.weight`).shape;
  if (!Number.isInteger(channels / groups)) {
    throw invalidFile(`${file.file} has ${channels} channels, which ${groups} norm_groups do not divide.`);
  }
  const scale = file.number('scale_factor', defaultScale);
  if (scale === 0) throw invalidFile(`${file.file} has the scale_factor 0.`);
  const shift = file.number('shift_factor', defaultShift);
  return { graph, net: new Layers(graph, file).at(part), groups, scale, shift };
}

/** [1, 3, h, w] -> [1, F, h / 8, w / 8] */
function down(net: Layers, image: Value, normalize: Normalize): Value {
  let x = net.convolution('conv_in', image, same);
  for (const level of net.list('down', 'block.0.conv1.weight')) {
    for (const block of level.list('block', 'conv1.weight')) x = residual(block, x, normalize);
    if (level.has('downsample.conv.weight')) x = halve(level, x);
  }
  return x;
}

/** Pads the bottom and right by one zero, then takes every second pixel. */
function halve(level: Layers, x: Value): Value {
  return level.convolution('downsample.conv', x, { stride: 2, pads: [0, 0, 1, 1] });
}

function double(level: Layers, x: Value): Value {
  return level.convolution('upsample.conv', level.graph.upsampleNearest(x), same);
}

function finishEncoder({ graph, net, groups, shift, scale }: Part, features: Value): Model {
  const normalize = ownNorm(groups);
  const middled = middle(net.at('mid'), features, normalize);
  const x = net.convolution('conv_out', graph.silu(normalize(net, 'norm_out', middled)), same);
  // [1, 2C, h, w] -> mean and log variance
  const channels = sizeAlong(x, 1) / 2;
  const [mean] = graph.split(x, 1, [channels, channels]);
  graph.output(
    'latent',
    graph.times(graph.minus(mean, graph.floats([shift], [])), graph.floats([scale], [])),
  );
  return graph.finish();
}

/** -> [1, F, h, w] */
function beginDecoder(
  { graph, net, groups, shift, scale }: Part,
  file: WeightsFile,
  height: number,
  width: number,
) {
  const latent = graph.input('latent', 'float32', [1, latentChannels(file), height, width]);
  const x = graph.plus(graph.times(latent, graph.floats([1 / scale], [])), graph.floats([shift], []));
  return middle(net.at('mid'), net.convolution('conv_in', x, same), ownNorm(groups));
}

/** [1, F, h, w] -> [1, 3, h * 8, w * 8] */
function up(net: Layers, features: Value, normalize: Normalize): Value {
  const g = net.graph;
  let x = features;
  // From the coarsest level to the finest.
  for (const level of net.list('up', 'block.0.conv1.weight').reverse()) {
    for (const block of level.list('block', 'conv1.weight')) x = residual(block, x, normalize);
    if (level.has('upsample.conv.weight')) x = double(level, x);
  }
  return net.convolution('conv_out', g.silu(normalize(net, 'norm_out', x)), same);
}

function middle(net: Layers, x: Value, normalize: Normalize): Value {
  const before = residual(net.at('block_1'), x, normalize);
  return residual(net.at('block_2'), attention(net.at('attn_1'), before, normalize), normalize);
}

/** `ResnetBlock`: [1, I, h, w] -> [1, O, h, w] */
function residual(net: Layers, x: Value, normalize: Normalize): Value {
  return joined(net, x, convolved(net, 2, convolved(net, 1, x, normalize), normalize));
}

function convolved(net: Layers, n: 1 | 2, x: Value, normalize: Normalize): Value {
  return net.convolution(`conv${n}`, net.graph.silu(normalize(net, `norm${n}`, x)), same);
}

function joined(net: Layers, x: Value, h: Value): Value {
  return net.graph.plus(net.has('nin_shortcut.weight') ? net.convolution('nin_shortcut', x) : x, h);
}

/** `AttnBlock`: one head over all pixels; its 1x1 convolutions are linear layers of the pixels. */
function attention(net: Layers, x: Value, normalize: Normalize): Value {
  const g = net.graph;
  const [, channels = 0, height = 0, width = 0] = x.shape;
  const pixels = height * width;
  // [1, C, h, w] -> [h * w, C]
  const input = g.transpose(g.reshape(normalize(net, 'norm', x), [channels, pixels]), [1, 0]);
  const project = (name: string) => g.reshape(net.linear(name, input), [1, pixels, channels]);
  const attended = g.attention(project('q'), project('k'), project('v'), { heads: 1 });
  const output = net.linear('proj_out', g.reshape(attended, [pixels, channels]));
  return g.plus(x, g.reshape(g.transpose(output, [1, 0]), x.shape));
}

/** Normalizes groups of channels, then scales and shifts each channel by `name`: [1, C, h, w] */
type Normalize = (net: Layers, name: string, x: Value) => Value;

/** With the mean and variance of the input itself. */
function ownNorm(groups: number): Normalize {
  return (net, name, x) => {
    const g = net.graph.at(name);
    const [, channels = 0, height = 0, width = 0] = x.shape;
    const grouped = g.reshape(x, [1, groups, (channels / groups) * height * width]);
    return scaled(net, name, g.reshape(g.instanceNorm(grouped, epsilon), x.shape));
  };
}

/** With the inputs `mean` and `factor`. */
function givenNorm(groups: number): Normalize {
  return (net, name, x) => {
    const g = net.graph.at(name);
    const [, channels = 0, height = 0, width = 0] = x.shape;
    const grouped = g.reshape(x, [groups, channels / groups, height * width]);
    const [mean, factor] = mapTuple(['mean', 'factor'], (input) => g.input(input, 'float32', [groups, 1, 1]));
    return scaled(net, name, g.reshape(g.times(g.minus(grouped, mean), factor), x.shape));
  };
}

function scaled(net: Layers, name: string, normal: Value): Value {
  const g = net.graph.at(name);
  const [, channels = 0] = normal.shape;
  const perChannel = (tensor: string) => net.parameter(`${name}.${tensor}`, [channels, 1, 1]);
  return g.plus(g.times(normal, perChannel('weight')), perChannel('bias'));
}
