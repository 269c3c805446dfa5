/** The headers of a model's files, cached until the files change. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { ModelFamily } from '../../shared/conventions.ts';
import { familyOf, findAdapter, type ModelEntry, modelFiles } from '../catalogue/catalogue.ts';
import { openAdapter } from '../checkpoints/lora/adapter.ts';
import { operationsOf } from '../models/flux.ts';
import { defaultLength, readLength } from '../models/tokenizers.ts';
import { type MeasuredModel, measureModel } from './measure-model.ts';
import { openWeights } from './open-model.ts';

export interface InspectedModel {
  readonly measured: MeasuredModel;
  readonly family: ModelFamily;
  /** Multiplications and additions of one step of the transformer. */
  readonly stepOperations: (tokens: number) => number;
}

interface Kept<T> {
  readonly stamp: string;
  readonly value: T;
}

const models = new Map<string, Kept<InspectedModel>>();
const adapterNotes = new Map<string, Kept<readonly string[]>>();

/** @throws CodedError `model-missing`, `model-file-invalid` */
export async function inspectModel(model: ModelEntry): Promise<InspectedModel> {
  const kept = models.get(model.id);
  if (kept && kept.stamp === (await stampOf(kept.value.measured.files))) return kept.value;
  const measured = await measureModel(model);
  const textTokens = await readLength(
    path.join(model.folder, modelFiles.t5TokenizerConfig),
    defaultLength.t5,
  );
  const value: InspectedModel = {
    measured,
    family: await familyOf(model),
    stepOperations: (tokens) => operationsOf(measured.flux, tokens, textTokens),
  };
  models.set(model.id, { stamp: await stampOf(measured.files), value });
  return value;
}

/**
 * What the user should know about an adapter, such as which layers are ignored.
 * @throws CodedError `adapter-unknown`, `adapter-invalid`
 */
export async function notesOfAdapter(model: ModelEntry, name: string): Promise<readonly string[]> {
  const file = await findAdapter(model, name);
  const stamp = await stampOf([file]);
  const key = `${model.id} ${name}`;
  const kept = adapterNotes.get(key);
  if (kept?.stamp === stamp) return kept.value;
  const { transformer, t5, clip } = await openWeights(model);
  const { notes } = await openAdapter(name, file, { transformer, t5, clip });
  adapterNotes.set(key, { stamp, value: notes });
  return notes;
}

/** Changes with a file's size or modification time; a missing file gets a stamp that no other file has. */
async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = files.map((file) =>
    stat(file).then(
      ({ size, mtimeMs }) => `${file} ${size} ${mtimeMs}`,
      () => `${file} ${Math.random()}`,
    ),
  );
  return (await Promise.all(stamps)).join('\n');
}
