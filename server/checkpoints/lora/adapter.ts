import { open } from 'node:fs/promises';
import path from 'node:path';
import { CodedError } from '../../../shared/errors.ts';
import { elementCount } from '../../../shared/safetensors.ts';
import { readAt } from '../../disk/read-range.ts';
import { findNotFinite } from '../finite.ts';
import { isBlockType } from '../gguf/ggml-blocks.ts';
import { readHeader } from '../header.ts';
import { listed } from '../name-list.ts';
import { asNumbers } from '../numbers.ts';
import { describeTensor, rowsOf, type StoredTensor, type StoredTensors } from '../tensor.ts';
import type { WeightsFile } from '../weights-file.ts';
import {
  type AdaptedNetwork,
  type AdapterTarget,
  adaptedNetworks,
  isForTextEncoder,
  keyReader,
  type Member,
  type Targets,
  textEncoderTargets,
  transformerTargets,
} from './adapter-keys.ts';
import { type Change, type Changes, formRows } from './change.ts';
import { adapterInvalid } from './invalid.ts';
import { type LayerMembers, weightChange } from './members.ts';
import { peftFactors } from './peft-config.ts';

/** An adapter file, matched to the networks that it changes. */
export interface Adapter {
  readonly id: string;
  readonly changes: Readonly<Record<AdaptedNetwork, Changes>>;
  /** Notes for the user, such as skipped layers of other text encoders. */
  readonly notes: readonly string[];
}

/** The networks that an adapter may change: all of a model's, or only those that are computed. */
export type AdapterBases = { readonly [network in AdaptedNetwork]?: WeightsFile };

const peftParts = { transformer: 'transformer', clip: 'text_encoder', t5: 'text_encoder_2' } as const;
const titles = { transformer: 'transformer', clip: 'CLIP', t5: 'T5' } as const;

/** What unmatched keys reveal about their file. */
const signs: readonly (readonly [RegExp, string])[] = [
  [
    /(?:down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)/,
    'It is for Stable Diffusion: use one for FLUX.1.',
  ],
  [
    /\.oft_|\.boft_|oft_blocks/,
    'It is an OFT adapter, which is not supported: use a LoRA, LoHa, LoKr or DoRA.',
  ],
  [/\.(?:a1|a2|b1|b2)\.weight$/, 'It is a GLoRA, which is not supported: use a LoRA, LoHa, LoKr or DoRA.'],
  [/lora_mid|hada_t1|lokr_t2/, 'It adapts convolutions (Tucker form), which FLUX.1 does not have.'],
  [
    /double_stream_modulation|single_transformer_blocks\.(?:3[89]|4\d)/,
    'It is for FLUX.2: use one for FLUX.1.',
  ],
];

/**
 * Reads an adapter and finds what it changes in the networks, whatever layout either uses.
 * @throws CodedError `adapter-invalid` with the file and the unmatched keys, or the tensor whose shape does
 * not fit or that is not finite; `model-missing` if there is no such file
 */
export async function openAdapter(id: string, file: string, bases: AdapterBases): Promise<Adapter> {
  const stored = await readStored(path.resolve(file));
  const targets = {
    ...(bases.transformer && { transformer: transformerTargets(bases.transformer) }),
    ...(bases.clip && { clip: textEncoderTargets(bases.clip) }),
    ...(bases.t5 && { t5: textEncoderTargets(bases.t5) }),
  };
  const { layers, leftOut } = sortKeys(file, stored, targets, bases);
  await requireFiniteTensors(file, stored);

  const changes = { transformer: new Map(), clip: new Map(), t5: new Map() } satisfies Record<
    AdaptedNetwork,
    Map<string, Change[]>
  >;
  const unfit: Record<'clip' | 't5', number> = { clip: 0, t5: 0 };
  for (const network of adaptedNetworks) {
    const factorOf = peftFactors(stored.metadata, file, peftParts[network]);
    for (const [name, members] of layers[network]) {
      const context = { id, file, base: bases[network]!.file, name, factorOf, numbers };
      try {
        const found = await changesOf(targets[network]!.get(name)!, members, context);
        for (const [changed, change] of found) append<Change>(changes[network], changed, change);
      } catch (cause) {
        // Text encoders come in several sizes, and an adapter may be for a different one.
        if (network === 'transformer' || !(cause instanceof CodedError) || cause.code !== 'adapter-invalid')
          throw cause;
        unfit[network]++;
      }
    }
    requireNoneTwice(file, changes[network]);
  }
  if (adaptedNetworks.every((network) => changes[network].size === 0)) {
    throw adapterInvalid(`${file} changes nothing of this model.`);
  }
  return { id, changes, notes: notesOf(id, unfit, leftOut) };
}

async function readStored(file: string): Promise<StoredTensors> {
  const stored = await readHeader(file).catch((cause) => {
    const isWrong = cause instanceof CodedError && cause.code === 'model-file-invalid';
    const remedy = 'Fetch the file again as .safetensors; it is incomplete, or another kind of file.';
    throw isWrong ? adapterInvalid(cause.detail, { cause, remedy }) : cause;
  });
  if (stored.tensors.size === 0) throw adapterInvalid(`${file} has no tensors.`);
  return stored;
}

type Layers = Readonly<Record<AdaptedNetwork, Map<string, LayerMembers>>>;

/** The file's tensors by network and layer, and the keys of text encoders that no model here has. */
function sortKeys(
  file: string,
  { tensors }: StoredTensors,
  targets: Readonly<Partial<Record<AdaptedNetwork, Targets>>>,
  bases: AdapterBases,
): { readonly layers: Layers; readonly leftOut: number } {
  const read = keyReader(targets);
  const layers: Layers = { transformer: new Map(), clip: new Map(), t5: new Map() };
  const unmatched: string[] = [];
  const leftOut = new Set<string>();
  for (const [key, tensor] of tensors) {
    const place = read(key);
    if (!place) {
      if (isForTextEncoder(key))
        leftOut.add(key.replace(/\.(?:lora_.+|alpha|dora_scale|hada_.+|lokr_.+|diff.*)$/, ''));
      else if (bases.transformer) unmatched.push(key);
      continue;
    }
    const layer = layers[place.network];
    const members: { [member in Member]?: StoredTensor } = { ...layer.get(place.target) };
    const before = members[place.member];
    if (before) {
      throw adapterInvalid(
        `${file} has "${before.name}" and "${key}" for one layer; only one can be meant.`,
        {
          remedy: 'Remove one of the two from the file, or fetch the adapter from where it was published.',
        },
      );
    }
    members[place.member] = tensor;
    layer.set(place.target, members);
  }
  if (unmatched.length > 0) {
    const remedy = signs.find(([sign]) => unmatched.some((key) => sign.test(key)))?.[1];
    throw adapterInvalid(
      `${file} has keys that fit nothing in ${Object.values(bases)[0]?.file}: ${listed(unmatched)}.`,
      {
        ...(remedy && { remedy }),
      },
    );
  }
  return { layers, leftOut: leftOut.size };
}

async function requireFiniteTensors(file: string, { tensors }: StoredTensors): Promise<void> {
  const broken = await findNotFinite(tensors.values());
  if (!broken) return;
  throw adapterInvalid(`${file} has numbers in "${broken.name}" that are not finite (NaN or infinity).`, {
    remedy:
      'Its training diverged or the file is damaged: use an earlier checkpoint of it, or fetch it again.',
  });
}

interface LayerContext {
  readonly id: string;
  readonly file: string;
  readonly base: string;
  /** The target's. */
  readonly name: string;
  readonly factorOf: (module: string, rank: number) => number;
  readonly numbers: (tensor: StoredTensor) => Promise<Float32Array>;
}

/** What the members of one layer change, by the base's names. */
async function changesOf(
  target: AdapterTarget,
  given: LayerMembers,
  context: LayerContext,
): Promise<[string, Change][]> {
  const { id, file, name, base } = context;
  const check = (tensor: StoredTensor, wanted: readonly number[]) => {
    if (elementCount(tensor.shape) === elementCount(wanted) && tensor.shape[0] === wanted[0]) return;
    throw adapterInvalid(
      `${file} has "${tensor.name}" as ${describeTensor(tensor)}, but [${wanted.join(', ')}] fits "${name}" of ${base}.`,
    );
  };
  // A graph identifies tensors by name, whatever file they are in.
  const named = (tensor: StoredTensor) => ({ ...tensor, name: `${id}:${tensor.name}` });
  const changes: [string, Change][] = [];
  const { whole, diff, diffBias, ...members } = given;
  if (whole) check(whole, target.shape);
  if (whole || (diff && target.shape.length === 1)) {
    const tensor = (whole ?? diff)!;
    check(tensor, target.shape);
    for (const { name: changed, begin, rows, from } of target.places) {
      const part = rowsOf(shaped(named(tensor), target.shape), from, rows);
      changes.push([changed, { kind: whole ? 'replacement' : 'addition', begin, rows, tensor: part }]);
    }
  }
  if (diffBias) {
    check(diffBias, [target.shape[0] ?? 0]);
    for (const { name: changed, begin, rows, from } of target.places) {
      const tensor = rowsOf(named(diffBias), from, rows);
      changes.push([
        changed.replace(/\.(?:weight|scale)$/, '.bias'),
        { kind: 'addition', begin, rows, tensor },
      ]);
    }
  }
  const isFull = diff !== undefined && target.shape.length > 1;
  const change = await weightChange({ ...members, ...(isFull && { diff }) }, target.shape, {
    ...context,
    check,
    named,
  });
  for (const { name: changed, begin, rows, from } of change ? target.places : []) {
    const { bias, magnitude } = change!;
    if (magnitude?.axis === 'columns' && target.places.length > 1) {
      throw adapterInvalid(
        `${file} has a DoRA over columns of "${name}", which lies in several places of ${base}.`,
      );
    }
    changes.push([
      changed,
      {
        ...change!,
        begin,
        rows,
        form: formRows(change!.form, from, rows),
        ...(bias && { bias: rowsOf(bias, from, rows) }),
        ...(magnitude?.axis === 'rows' && {
          magnitude: { ...magnitude, values: magnitude.values.subarray(from, from + rows) },
        }),
      },
    ]);
  }
  return changes;
}

/** Without the size-1 axes of convolution kernels. */
function shaped(tensor: StoredTensor, shape: readonly number[]): StoredTensor {
  return { ...tensor, shape };
}

/** Two names may refer to the same rows of a layer. */
function requireNoneTwice(file: string, changes: ReadonlyMap<string, readonly Change[]>): void {
  for (const [name, all] of changes) {
    const weights = all.filter(({ kind }) => kind === 'weight').sort((a, b) => a.begin - b.begin);
    const second = weights.find(
      (change, i) => i > 0 && weights[i - 1]!.begin + weights[i - 1]!.rows > change.begin,
    );
    if (!second) continue;
    throw adapterInvalid(`${file} changes rows of "${name}" twice, under two names; only one can be meant.`, {
      remedy: 'Remove one of the two from the file, or fetch the adapter from where it was published.',
    });
  }
}

async function numbers(tensor: StoredTensor): Promise<Float32Array> {
  const { file, offset, length } = tensor.data;
  const { dtype } = tensor;
  if (isBlockType(dtype)) throw new Error(`"${tensor.name}" is ${dtype}`);
  const handle = await open(file, 'r');
  try {
    return Float32Array.from(asNumbers(await readAt(handle, offset, length), dtype));
  } finally {
    await handle.close();
  }
}

function notesOf(id: string, unfit: Readonly<Record<'clip' | 't5', number>>, leftOut: number): string[] {
  const parts = (['clip', 't5'] as const).flatMap((network) =>
    unfit[network] > 0 ? [`${unfit[network]} for ${titles[network]} layers of another size`] : [],
  );
  if (leftOut > 0) parts.push(`${leftOut} for text encoder layers that this model does not have`);
  return parts.length === 0
    ? []
    : [`The adapter “${id}” has changes that were left out: ${parts.join(' and ')}.`];
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}
