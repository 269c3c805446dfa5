import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import { conventions, type ModelFamily } from '../../shared/conventions.ts';
import { CodedError } from '../../shared/errors.ts';
import { asGGUF, standIns } from '../checkpoints/header.ts';
import { WeightsFile } from '../checkpoints/weights-file.ts';
import { homeFolder, projectRoot } from '../disk/paths.ts';
import { computedFile, quantizedFile, quantizedFolder, unwrittenFile } from '../quantize/quantized-cache.ts';
import type { Bits } from '../quantize/rounding.ts';

/** A complete model. */
export interface ModelEntry {
  readonly id: string;
  readonly title: string;
  /** Has the files of `modelFiles`. */
  readonly folder: string;
  /** Files used instead of those in the folder. */
  readonly quantized?: Readonly<Record<QuantizedNetwork, string>>;
  /** Only if the transformer's input channels do not reveal it. */
  readonly family?: ModelFamily;
  /** Longest joined sequence the model was made for, in tokens of 16x16 pixels. */
  readonly maxSequence: number;
}

/** The networks whose size matters: all but 0.4 of FLUX.1-Fill-dev's 34 GB. */
export const quantizedNetworks = ['transformer', 't5'] as const;
export type QuantizedNetwork = (typeof quantizedNetworks)[number];

/** The files of a model, in its folder. Weights may also be sharded, with an index in `<file>.index.json`, and the transformer may be a
 * GGUF file. */
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
  title: 'Pocket: small, comes with ACE++ Layers',
  folder: path.join(projectRoot, 'server', 'pocket'),
  family: 'pocket',
  maxSequence: conventions.pocket.maxSequence,
};

/** Valid model ids, which are also folder names. */
export const modelId = /^[a-z0-9][a-z0-9.-]*$/;

/** All models that can run: the ones in `models/<id>/` of the data folder, and pocket. */
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

/** Names of the adapters in a model's folder, `adapters/<name>.safetensors`. */
export async function listAdapters({ folder }: ModelEntry): Promise<string[]> {
  const files = await readdir(path.join(folder, adaptersFolder)).catch(() => []);
  return files
    .filter((file) => file.endsWith(adapterSuffix))
    .map((file) => file.slice(0, -adapterSuffix.length))
    .sort();
}

/**
 * Finds an adapter's file.
 * @throws CodedError `adapter-unknown`
 */
export async function findAdapter(model: ModelEntry, name: string): Promise<string> {
  const known = await listAdapters(model);
  const folder = path.join(model.folder, adaptersFolder);
  if (known.includes(name)) return path.join(folder, name + adapterSuffix);
  const others = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none';
  throw new CodedError('adapter-unknown', {
    detail: `The model "${model.id}" has no adapter "${name}"; ${others}.`,
    remedy: `Leave the adapter out, or put it into ${folder} as ${name}${adapterSuffix}.`,
  });
}

/**
 * Finds a model that can run.
 * @throws CodedError `model-unknown`, or `model-missing` naming the missing files
 */
export async function findModel(id: string): Promise<ModelEntry> {
  const model = await findInstalled(id);
  if (await isWritten(model)) return model;
  throw new CodedError('model-missing', {
    detail: `${path.join(model.folder, asGGUF(modelFiles.transformer))} has not been converted yet for ONNX Runtime.`,
    remedy: `Run "acepp models install ${id}" once, or "acepp quantize --model ${id} --bits 8", which also makes the text encoder smaller.`,
  });
}

/**
 * Finds a complete model, even if its GGUF transformer still has to be converted.
 * @throws CodedError as `findModel`
 */
export async function findInstalled(id: string): Promise<ModelEntry> {
  const known = await knownModels();
  const model = known.find((entry) => entry.id === id);
  if (!model) {
    throw new CodedError('model-unknown', {
      detail: `There is no model "${id}". Available: ${known.map((entry) => entry.id).join(', ')}.`,
      remedy: `Leave out the model, or install it: "acepp models list" shows what is available.`,
    });
  }
  const missing = await missingFiles(model);
  if (missing.length > 0) {
    throw new CodedError('model-missing', {
      detail: `The model "${id}" is incomplete: ${model.folder} has no ${missing.join(', ')}.`,
      remedy: `Finish it with "acepp models install ${id}", add the missing files, or choose another model.`,
    });
  }
  return model;
}

export function modelsFolder(): string {
  return path.join(homeFolder(), 'models');
}

/** Pocket comes first: every machine has it. */
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

/** `<id>-8bit` and `<id>-4bit`, if `acepp quantize` has made them from the model's current files. */
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
      // Not made yet, or the model itself is incomplete, which is reported for the model.
    }
  }
  return variants;
}

/**
 * A transformer that cannot be quantized has no variants. One in GGUF blocks with no more bits only has one if the text encoder
 * gets smaller.
 */
async function isSmaller(
  { folder }: ModelEntry,
  { transformer, t5 }: Record<QuantizedNetwork, string>,
): Promise<boolean> {
  if (path.dirname(transformer) !== quantizedFolder()) return false;
  const own = await computedFile(path.join(folder, modelFiles.transformer));
  return transformer !== own || path.dirname(t5) === quantizedFolder();
}

/** The given model and, if it is an original, its quantized variants, most bits first. */
export async function formsOf(model: ModelEntry): Promise<readonly ModelEntry[]> {
  if (model.quantized || model.id === pocket.id) return [model];
  return [model, ...(await quantizedVariants(model))];
}

/**
 * Where a model's quantized networks are, or will be.
 * @throws CodedError `model-missing`, `model-file-invalid`
 */
export async function quantizedFiles(
  { folder }: ModelEntry,
  bits: Bits,
): Promise<Record<QuantizedNetwork, string>> {
  const at = (name: QuantizedNetwork) => quantizedFile(path.join(folder, modelFiles[name]), bits, name);
  return { transformer: await at('transformer'), t5: await at('t5') };
}

/** What `acepp quantize` has written from this model's current files only, finished or not. */
export async function quantizedOnlyOf(id: string): Promise<string[]> {
  const models = (await knownModels()).filter((model) => !model.quantized && model.id !== pocket.id);
  const written = async (model: ModelEntry): Promise<string[]> => {
    const files: string[] = [];
    for (const bits of [8, 4] as const) {
      // Files that cannot be read were never quantized.
      const known = await quantizedFiles(model, bits).catch(() => undefined);
      files.push(...Object.values(known ?? {}));
    }
    // A file that cannot be quantized is listed as itself.
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
 * Whether a complete model can run: a GGUF file has to be converted first. A file that cannot be read is reported on loading.
 */
export async function isWritten({ folder, quantized }: ModelEntry): Promise<boolean> {
  if (quantized) return true;
  const unwritten = await unwrittenFile(path.join(folder, modelFiles.transformer)).catch(() => undefined);
  return unwritten === undefined;
}
