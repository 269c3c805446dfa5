/** The autoencoder of FLUX.1 (black-forest-labs/flux, modules/autoencoder.py), over files with its key layout. */
import type { Model } from '../graph/encode.ts';
import { Graph } from '../graph/graph.ts';
import type { Value } from '../graph/value.ts';
import { invalidFile, type WeightsFile } from '../weights/file.ts';
import { Layers } from '../weights/layers.ts';

const epsilon = 1e-6;
/** autoencoder.py: `GroupNorm(num_groups=32)`; a file may say otherwise as `norm_groups`. */
const defaultGroups = 32;
/** util.py, `AutoEncoderParams` of FLUX.1: scale_factor and shift_factor; a file may say otherwise. */
const defaultScale = 0.3611;
const defaultShift = 0.1159;

/** Input `image` [1, 3, height, width], output `latent` [1, C, height / 8, width / 8]: the posterior's mean, shifted and scaled. */
export function buildEncoder(file: WeightsFile, height: number, width: number): Model {
  const { graph, net, groups, shift, scale } = start(file, 'encoder');
  let x = net.convolution('conv_in', graph.input('image', 'float32', [1, 3, height, width]), same);
  for (const level of net.list('down', 'block.0.conv1.weight')) {
    for (const block of level.list('block', 'conv1.weight')) x = residual(block, x, groups);
    // A row and a column of zeros at the bottom and the right, then every second pixel.
    if (level.has('downsample.conv.weight')) {
      x = level.convolution('downsample.conv', x, { stride: 2, pads: [0, 0, 1, 1] });
    }
  }
  x = middle(net.at('mid'), x, groups);
  x = net.convolution('conv_out', graph.silu(groupNorm(net, 'norm_out', x, groups)), same);
  // [1, 2C, h, w] -> mean and log variance
  const channels = x.shape[1]! / 2;
  const [mean] = graph.split(x, 1, [channels, channels]);
  graph.output(
    'latent',
    graph.times(graph.minus(mean!, graph.floats([shift], [])), graph.floats([scale], [])),
  );
  return graph.finish();
}

/** Input `latent` [1, C, height, width], output `image` [1, 3, height * 8, width * 8]. */
export function buildDecoder(file: WeightsFile, height: number, width: number): Model {
  const { graph, net, groups, shift, scale } = start(file, 'decoder');
  const latent = graph.input('latent', 'float32', [1, latentChannels(file), height, width]);
  let x = graph.plus(graph.times(latent, graph.floats([1 / scale], [])), graph.floats([shift], []));
  x = middle(net.at('mid'), net.convolution('conv_in', x, same), groups);
  // From the coarsest level to the finest.
  for (const level of net.list('up', 'block.0.conv1.weight').reverse()) {
    for (const block of level.list('block', 'conv1.weight')) x = residual(block, x, groups);
    if (level.has('upsample.conv.weight')) {
      x = level.convolution('upsample.conv', level.graph.upsampleNearest(x), same);
    }
  }
  graph.output('image', net.convolution('conv_out', graph.silu(groupNorm(net, 'norm_out', x, groups)), same));
  return graph.finish();
}

/** 16 in FLUX.1. */
export function latentChannels(file: WeightsFile): number {
  return file.get('decoder.conv_in.weight').shape[1] ?? 0;
}

/** A 3x3 convolution that keeps the size. */
const same = { pads: [1, 1, 1, 1] } as const;

function start(file: WeightsFile, part: 'encoder' | 'decoder') {
  const graph = Graph.create(`autoencoder's ${part}`);
  const groups = file.number('norm_groups', defaultGroups);
  const [channels = 0] = file.get(`${part}.norm_out.weight`).shape;
  if (!Number.isInteger(channels / groups)) {
    throw invalidFile(`${file.file} has ${channels} channels, which ${groups} norm_groups cannot share.`);
  }
  const scale = file.number('scale_factor', defaultScale);
  if (scale === 0) throw invalidFile(`${file.file} has the scale_factor 0.`);
  const shift = file.number('shift_factor', defaultShift);
  return { graph, net: new Layers(graph, file).at(part), groups, scale, shift };
}

function middle(net: Layers, x: Value, groups: number): Value {
  const before = residual(net.at('block_1'), x, groups);
  return residual(net.at('block_2'), attention(net.at('attn_1'), before, groups), groups);
}

/** `ResnetBlock`: [1, I, h, w] -> [1, O, h, w] */
function residual(net: Layers, x: Value, groups: number): Value {
  const g = net.graph;
  let h = net.convolution('conv1', g.silu(groupNorm(net, 'norm1', x, groups)), same);
  h = net.convolution('conv2', g.silu(groupNorm(net, 'norm2', h, groups)), same);
  return g.plus(net.has('nin_shortcut.weight') ? net.convolution('nin_shortcut', x) : x, h);
}

/** `AttnBlock`: one head over all pixels; its 1x1 convolutions are linear layers of the pixels. */
function attention(net: Layers, x: Value, groups: number): Value {
  const g = net.graph;
  const [, channels = 0, height = 0, width = 0] = x.shape;
  const pixels = height * width;
  // [1, C, h, w] -> [h * w, C]
  const input = g.transpose(g.reshape(groupNorm(net, 'norm', x, groups), [channels, pixels]), [1, 0]);
  const project = (name: string) => g.reshape(net.linear(name, input), [1, pixels, channels]);
  const attended = g.attention(project('q'), project('k'), project('v'), { heads: 1 });
  const output = net.linear('proj_out', g.reshape(attended, [pixels, channels]));
  return g.plus(x, g.reshape(g.transpose(output, [1, 0]), x.shape));
}

/** Groups of channels by their own mean and variance, then each channel scaled and shifted: [1, C, h, w] */
function groupNorm(net: Layers, name: string, x: Value, groups: number): Value {
  const g = net.graph.at(name);
  const [, channels = 0, height = 0, width = 0] = x.shape;
  const grouped = g.reshape(x, [1, groups, (channels / groups) * height * width]);
  const normal = g.reshape(g.instanceNorm(grouped, epsilon), x.shape);
  const perChannel = (tensor: string) => net.parameter(`${name}.${tensor}`, [channels, 1, 1]);
  return g.plus(g.times(normal, perChannel('weight')), perChannel('bias'));
}
