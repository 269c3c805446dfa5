import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import { conventions, type ModelFamily } from '../../shared/conventions.ts';
import { CodedError } from '../../shared/errors.ts';
import { asGGUF, standIns } from '../checkpoints/header.ts';
import { WeightsFile } from '../checkpoints/weights-file.ts';
import { homeFolder, projectRoot } from '../disk/paths.ts';
import { computedFile, quantizedFile, quantizedFolder, unwrittenFile } from '../quantize/quantized-cache.ts';
import type { Bits } from '../quantize/rounding.ts';

/** A model whose files are all there. */
export interface ModelEntry {
  readonly id: string;
  readonly title: string;
  /** Holds the files of `modelFiles`. */
  readonly folder: string;
  /** Files that are taken in place of those in the folder. */
  readonly quantized?: Readonly<Record<QuantizedNetwork, string>>;
  /** Where it is not told by the transformer's columns. */
  readonly family?: ModelFamily;
  /** Largest joined sequence that the model was made for, in tokens of 16x16 pixels. */
  readonly maxSequence: number;
}

/** The networks whose size matters: of the 34 GB of FLUX.1-Fill-dev they are all but 0.4. */
export const quantizedNetworks = ['transformer', 't5'] as const;
export type QuantizedNetwork = (typeof quantizedNetworks)[number];

/** What a model consists of, in its folder. Weights may also be shards, with their index as `<file>.index.json`, and the transformer
 * a GGUF file. */
export const modelFiles = {
  transformer: 'transformer.safetensors',
  t5: 't5.safetensors',
  clip: 'clip.safetensors',
  vae: 'ae.safetensors',
  t5Tokenizer: 't5/tokenizer.json',
  t5TokenizerConfig: 't5/tokenizer_config.json',
  clipTokenizer: 'clip/tokenizer.json',
  clipTokenizerConfig: 'clip/tokenizer_config.json',
} as const;

/** The small model that comes with the project. */
export const pocket: ModelEntry = {
  id: 'pocket',
  title: 'Pocket: small, ships with ACE++ Layers',
  folder: path.join(projectRoot, 'server', 'pocket'),
  family: 'pocket',
  maxSequence: conventions.pocket.maxSequence,
};

/** What may be a model's id, and so the name of its folder. */
export const modelId = /^[a-z0-9][a-z0-9.-]*$/;

/** All models that can run: those that a person put into `models/<id>/` of the companion's data folder, and pocket. */
export async function listModels(): Promise<ModelEntry[]> {
  const complete: ModelEntry[] = [];
  for (const model of await knownModels()) {
    if ((await missingFiles(model)).length === 0 && (await isWritten(model))) complete.push(model);
  }
  return complete;
}

/** What a model was trained as: its transformer's columns tell; FLUX.1-Fill-dev where they cannot be read, which loading reports. */
export async function familyOf(model: ModelEntry): Promise<ModelFamily> {
  if (model.family) return model.family;
  try {
    const file = await WeightsFile.open(
      model.quantized?.transformer ?? (await computedFile(path.join(model.folder, modelFiles.transformer))),
      'transformer',
    );
    const [, columns = 0] = file.get('img_in.weight').shape;
    return file.number('input_columns', columns) > fillColumns ? 'fft' : 'fill';
  } catch {
    return 'fill';
  }
}

/** Of `img_in`: noise, edit image and mask; more have the change image. */
const fillColumns = 384;

export const adaptersFolder = 'adapters';
export const adapterSuffix = '.safetensors';

/** Names of the adapters that lie in `adapters/<name>.safetensors` of a model's folder. */
export async function listAdapters({ folder }: ModelEntry): Promise<string[]> {
  const files = await readdir(path.join(folder, adaptersFolder)).catch(() => []);
  return files
    .filter((file) => file.endsWith(adapterSuffix))
    .map((file) => file.slice(0, -adapterSuffix.length))
    .sort();
}

/**
 * The file of an adapter.
 * @throws CodedError `adapter-unknown`
 */
export async function findAdapter(model: ModelEntry, name: string): Promise<string> {
  const known = await listAdapters(model);
  const folder = path.join(model.folder, adaptersFolder);
  if (known.includes(name)) return path.join(folder, name + adapterSuffix);
  const others = known.length > 0 ? `known are ${known.join(', ')}` : 'it has none';
  throw new CodedError('adapter-unknown', {
    detail: `The model "${model.id}" has no adapter "${name}"; ${others}.`,
    remedy: `Leave the adapter out, or put it into ${folder} as ${name}${adapterSuffix}.`,
  });
}

/**
 * A model that can run.
 * @throws CodedError `model-unknown`, or `model-missing` with the files that are not there
 */
export async function findModel(id: string): Promise<ModelEntry> {
  const model = await findInstalled(id);
  if (await isWritten(model)) return model;
  throw new CodedError('model-missing', {
    detail: `The blocks of ${path.join(model.folder, asGGUF(modelFiles.transformer))} are not yet written as they are computed with.`,
    remedy: `Run "acepp models install ${id}" once, or "acepp quantize --model ${id} --bits 8", which also makes the text encoder smaller.`,
  });
}

/**
 * A model whose files are all there, even if its transformer still has to be written from a GGUF file.
 * @throws CodedError as `findModel`
 */
export async function findInstalled(id: string): Promise<ModelEntry> {
  const known = await knownModels();
  const model = known.find((entry) => entry.id === id);
  if (!model) {
    throw new CodedError('model-unknown', {
      detail: `There is no model "${id}"; known are ${known.map((entry) => entry.id).join(', ')}.`,
      remedy: `Leave out the model, or install it: "acepp models list" says which there are.`,
    });
  }
  const missing = await missingFiles(model);
  if (missing.length > 0) {
    throw new CodedError('model-missing', {
      detail: `The model "${id}" is not complete: ${model.folder} has no ${missing.join(', ')}.`,
      remedy: `Go on with "acepp models install ${id}", put the missing files there, or choose another model.`,
    });
  }
  return model;
}

export function modelsFolder(): string {
  return path.join(homeFolder(), 'models');
}

/** Pocket first: it is there on every machine, and the one that runs unless another is asked for. */
async function knownModels(): Promise<ModelEntry[]> {
  const entries = await readdir(modelsFolder(), { withFileTypes: true }).catch(() => []);
  const own = entries
    .filter((entry) => !entry.isFile() && modelId.test(entry.name) && entry.name !== pocket.id)
    .map(({ name: id }) => ({
      id,
      title: id,
      folder: path.join(modelsFolder(), id),
      maxSequence: conventions.fill.maxSequence,
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const taken = new Set(own.map(({ id }) => id));
  const variants = await Promise.all(own.map(quantizedVariants));
  return [pocket, ...own.flatMap((model, i) => [model, ...variants[i]!.filter(({ id }) => !taken.has(id))])];
}

/** `<id>-8bit` and `<id>-4bit`, where `acepp quantize` has made them of the model's files as they are now. */
async function quantizedVariants(model: ModelEntry): Promise<ModelEntry[]> {
  const variants: ModelEntry[] = [];
  for (const bits of [8, 4] as const) {
    try {
      const quantized = await quantizedFiles(model, bits);
      if (!(await isSmaller(model, quantized))) continue;
      await Promise.all(Object.values(quantized).map((file) => access(file)));
      variants.push({
        ...model,
        id: `${model.id}-${bits}bit`,
        title: `${model.title}, ${bits} bits`,
        quantized,
      });
    } catch {
      // Not made yet, or the model itself is not whole, which is told of the model.
    }
  }
  return variants;
}

/** Of a transformer that stands for itself there is no variant; of one in blocks of no more bits only with another text encoder. */
async function isSmaller(
  { folder }: ModelEntry,
  { transformer, t5 }: Record<QuantizedNetwork, string>,
): Promise<boolean> {
  if (path.dirname(transformer) !== quantizedFolder()) return false;
  const own = await computedFile(path.join(folder, modelFiles.transformer));
  return transformer !== own || path.dirname(t5) === quantizedFolder();
}

/** The model as it was asked for and, where that is an original, its quantized variants: the most bits first. */
export async function formsOf(model: ModelEntry): Promise<readonly ModelEntry[]> {
  if (model.quantized || model.id === pocket.id) return [model];
  return [model, ...(await quantizedVariants(model))];
}

/**
 * Where the quantized networks of a model lie, or will.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedFiles(
  { folder }: ModelEntry,
  bits: Bits,
): Promise<Record<QuantizedNetwork, string>> {
  const at = (name: QuantizedNetwork) => quantizedFile(path.join(folder, modelFiles[name]), bits, name);
  return { transformer: await at('transformer'), t5: await at('t5') };
}

/** What `acepp quantize` has written of a model's files as they are now, finished or not, and of no other model's. */
export async function quantizedOnlyOf(id: string): Promise<string[]> {
  const models = (await knownModels()).filter((model) => !model.quantized && model.id !== pocket.id);
  const written = async (model: ModelEntry): Promise<string[]> => {
    const files: string[] = [];
    for (const bits of [8, 4] as const) {
      // What cannot be read was never quantized.
      const known = await quantizedFiles(model, bits).catch(() => undefined);
      files.push(...Object.values(known ?? {}));
    }
    // A file that has no other form stands for itself.
    return files.filter((file) => path.dirname(file) === quantizedFolder());
  };
  const others = await Promise.all(models.filter((model) => model.id !== id).map(written));
  const own = await Promise.all(models.filter((model) => model.id === id).map(written));
  return [...new Set(own.flat())].filter((file) => !others.flat().includes(file));
}

async function missingFiles({ folder }: ModelEntry): Promise<string[]> {
  const missing: string[] = [];
  for (const file of Object.values(modelFiles)) {
    const places = standIns(path.join(folder, file)).map((place) => access(place));
    await Promise.any(places).catch(() => missing.push(file));
  }
  return missing;
}

/**
 * Whether what a model computes with is there, once its files are: of a GGUF file it has to be written first. What cannot be read is
 * told when it is loaded.
 */
export async function isWritten({ folder, quantized }: ModelEntry): Promise<boolean> {
  if (quantized) return true;
  const unwritten = await unwrittenFile(path.join(folder, modelFiles.transformer)).catch(() => undefined);
  return unwritten === undefined;
}
