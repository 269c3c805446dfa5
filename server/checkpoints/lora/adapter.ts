import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../../shared/errors.ts';
import { elementCount } from '../../../shared/safetensors.ts';
import { readHeader } from '../header.ts';
import { describeTensor, rowsOf, type StoredTensor } from '../tensor.ts';
import type { WeightsFile } from '../weights-file.ts';
import { type AdapterKey, keyReader, targetsOf } from './adapter-keys.ts';

/** Adds `scale * factor * alpha * (B A x + bias)` to rows of a linear layer; `scale` is known when the graph runs. */
export interface Branch {
  /** The first row of the layer that it adds to. */
  readonly begin: number;
  /** A, [rank, K] */
  readonly down: StoredTensor;
  /** B, [rows, rank] */
  readonly up: StoredTensor;
  /** [rows] */
  readonly bias?: StoredTensor;
  readonly factor: number;
  /** One number; 1 if it is not there. */
  readonly alpha?: StoredTensor;
}

/** Takes the place of rows of a tensor at scale 1, and of none of them at scale 0. */
export interface Replacement {
  readonly begin: number;
  readonly tensor: StoredTensor;
}

/** A LoRA file over a transformer, by black-forest-labs' names of the tensors that it changes. */
export interface Adapter {
  readonly id: string;
  readonly branches: ReadonlyMap<string, readonly Branch[]>;
  readonly replacements: ReadonlyMap<string, readonly Replacement[]>;
}

type Members = { [member in AdapterKey['member']]?: StoredTensor };

/**
 * Reads the header of a LoRA file and finds what it changes of a transformer, whatever the layout of the two.
 * @throws CodedError `adapter-invalid` with the file and every key that fits nothing, or the tensor whose shape does not fit;
 * `model-missing` if there is no such file
 */
export async function openAdapter(id: string, file: string, base: WeightsFile): Promise<Adapter> {
  const { tensors, metadata } = await readHeader(path.resolve(file)).catch((cause) => {
    const isWrong = cause instanceof CodedError && cause.code === 'model-file-invalid';
    throw isWrong ? invalid(cause.detail, cause) : cause;
  });
  const targets = targetsOf(base);
  const read = keyReader(targets);
  const changes = new Map<string, Members>();
  const unmatched: string[] = [];
  for (const [key, tensor] of tensors) {
    const { target, member } = read(key);
    if (!targets.has(target)) unmatched.push(key);
    else changes.set(target, { ...changes.get(target), [member]: tensor });
  }
  if (unmatched.length > 0) {
    throw invalid(`${file} has keys that fit nothing in ${base.file}: ${unmatched.join(', ')}.`);
  }

  const branches = new Map<string, Branch[]>();
  const replacements = new Map<string, Replacement[]>();
  const factorOf = factors(metadata, file);
  for (const [name, { down, up, bias, alpha, whole }] of changes) {
    const target = targets.get(name)!;
    const [rows = 0, columns = 0] = target.shape;
    const check = (tensor: StoredTensor, wanted: readonly number[]) => {
      if (tensor.shape.join() === wanted.join()) return;
      throw invalid(
        `${file} has "${tensor.name}" as ${describeTensor(tensor)}, but [${wanted.join(', ')}] fits "${name}" of ${base.file}.`,
      );
    };
    // A graph knows tensors by name, whatever file they are in.
    const named = (tensor: StoredTensor) => ({ ...tensor, name: `${id}:${tensor.name}` });
    if (whole) {
      check(whole, target.shape);
      for (const { name: changed, begin, rows: count, from } of target.places) {
        append(replacements, changed, { begin, tensor: rowsOf(named(whole), from, count) });
      }
    }
    const pair = [down, up].filter((tensor) => tensor !== undefined);
    const [other] = [...pair, bias, alpha].filter((tensor) => tensor !== undefined);
    if (!other) continue;
    if (!down || !up) throw invalid(`${file} has "${other.name}", but not both matrices of the pair.`);
    const [rank = 0] = down.shape;
    check(down, [rank, columns]);
    check(up, [rows, rank]);
    if (bias) check(bias, [rows]);
    if (alpha && elementCount(alpha.shape) !== 1) check(alpha, []);
    for (const { name: changed, begin, rows: count, from } of target.places) {
      append(branches, changed, {
        begin,
        down: named(down),
        up: rowsOf(named(up), from, count),
        ...(bias && { bias: rowsOf(named(bias), from, count) }),
        factor: alpha ? 1 / rank : factorOf(name, rank),
        ...(alpha && { alpha: named(alpha) }),
      });
    }
  }
  return { id, branches, replacements };
}

const metadataKey = 'lora_adapter_metadata';
const loraConfig = v.object({
  lora_alpha: v.optional(v.number()),
  alpha_pattern: v.optional(v.record(v.string(), v.number()), {}),
  use_rslora: v.optional(v.boolean(), false),
});

/**
 * alpha / rank where a file has no alpha tensors: 1, unless diffusers wrote PEFT's configuration of the transformer into the
 * metadata (loaders/lora_base.py, `LORA_ADAPTER_METADATA_KEY`; PEFT divides by the root of the rank for `use_rslora`).
 */
function factors(metadata: Readonly<Record<string, string>>, file: string) {
  const text = metadata[metadataKey];
  if (text === undefined) return () => 1;
  let config: v.InferOutput<typeof loraConfig>;
  try {
    const entries = Object.entries(v.parse(v.record(v.string(), v.unknown()), JSON.parse(text)));
    const bare = entries.map(([key, value]) => [key.replace(/^transformer\./, ''), value]);
    config = v.parse(loraConfig, Object.fromEntries(bare));
  } catch (cause) {
    throw invalid(`${file} has "${metadataKey}" in its metadata, which is no LoRA configuration.`, cause);
  }
  const { lora_alpha, alpha_pattern, use_rslora } = config;
  return (weight: string, rank: number) => {
    const module = weight.replace(/\.weight$/, '');
    const pattern = Object.keys(alpha_pattern).find((key) => module === key || module.endsWith(`.${key}`));
    const alpha = (pattern === undefined ? lora_alpha : alpha_pattern[pattern]) ?? rank;
    return alpha / (use_rslora ? Math.sqrt(rank) : rank);
  };
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

function invalid(detail: string, cause?: unknown): CodedError {
  return new CodedError('adapter-invalid', {
    detail,
    remedy: 'Take an adapter that was made for the transformer of this model.',
    cause,
  });
}
