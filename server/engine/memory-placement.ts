import { CodedError } from '../../shared/errors.ts';
import { formsOf, type ModelEntry } from '../catalogue/catalogue.ts';
import type { ComputeDType } from '../graph/precision.ts';
import { bytesPerElement } from '../graph/value.ts';
import { type DeviceMemory, deviceMemory } from '../runtime/device-memory.ts';
import { measureModel } from '../runtime/measure-model.ts';
import { gigabytes, type MemoryPlan, planMemory } from '../runtime/memory-plan.ts';
import type { Provider } from '../runtime/provider.ts';

export interface MemoryPlacement {
  /** The model itself, or a form of it in fewer bits. */
  readonly form: ModelEntry;
  readonly plan?: MemoryPlan | undefined;
  /** What the user should know about it. */
  readonly note?: string | undefined;
}

/** Weights below this fit anywhere, and choosing a form would not change the activations. */
const small = 1e9;

/**
 * Decides in which form a model runs on a device, and how.
 * @param type the dtype the transformer computes in
 * @param memory the device's memory, queried by default
 * @throws CodedError `out-of-memory` if not even the smallest form fits on a GPU
 */
export async function placeInMemory(
  model: ModelEntry,
  provider: Provider,
  type: ComputeDType = 'float32',
  memory?: DeviceMemory | undefined,
): Promise<MemoryPlacement> {
  const { form: own, sizes: widths } = await measureModel(model);
  const sizes = { ...widths, bytesPerValue: bytesPerElement[type] };
  memory ??= await deviceMemory(provider);
  if (!memory || own.transformer.bytes + own.t5.bytes < small) return { form: model };
  const entries = await formsOf(model);
  const others = entries.slice(1).map(async (entry) => (await measureModel(entry)).form);
  // The first is the model itself.
  const measured = [own, ...(await Promise.all(others))];
  try {
    const plan = planMemory(memory.free, measured, sizes);
    const form = entries.find(({ id }) => id === plan.form.id)!;
    return { form, plan, note: noteOf(model, plan, memory, sizes.maxSequence) };
  } catch (cause) {
    if (provider !== 'cpu' || !(cause instanceof CodedError)) throw cause;
    // Weights are memory-mapped files: what does not fit is reread from disk, but nothing fails.
    const form = entries.at(-1)!;
    const size = gigabytes(measured.at(-1)!.transformer.bytes);
    const free = gigabytes(memory.free);
    return {
      form,
      note: `“${form.id}” has ${size} of weights, but only ${free} of memory are free: each step rereads them from the disk, which is slow.`,
    };
  }
}

export interface FittingModel extends Omit<MemoryPlacement, 'note'> {
  /** What the user should know: why earlier models were skipped, and how this one runs. */
  readonly notes: readonly string[];
}

/**
 * The first of the models that fits into memory, in the form that fits.
 * @throws CodedError `out-of-memory` if none does
 */
export async function placeFirst(
  [model, ...others]: readonly ModelEntry[],
  provider: Provider,
  type?: ComputeDType,
  memory?: DeviceMemory | undefined,
): Promise<FittingModel> {
  try {
    const { note, ...placement } = await placeInMemory(model!, provider, type, memory);
    return { ...placement, notes: note ? [note] : [] };
  } catch (cause) {
    if (others.length === 0 || !(cause instanceof CodedError) || cause.code !== 'out-of-memory') throw cause;
    const { notes, ...placement } = await placeFirst(others, provider, type, memory);
    return { ...placement, notes: [cause.detail, ...notes] };
  }
}

/** Returns nothing if the model runs as requested with all weights loaded at once. */
function noteOf(
  model: ModelEntry,
  plan: MemoryPlan,
  memory: DeviceMemory,
  maxSequence: number,
): string | undefined {
  const { form, inTurn, fittingSequence, bytes } = plan;
  const isWhole = form.id === model.id && !inTurn && fittingSequence >= maxSequence;
  if (isWhole) return undefined;
  const side = Math.floor(Math.sqrt(fittingSequence)) * 16;
  const parts = [
    `${memory.name}, ${gigabytes(memory.free)} free: “${form.id}” takes ${gigabytes(bytes)}`,
    inTurn && 'the text encoders are reloaded for each new instruction',
    fittingSequence < maxSequence && `edits are computed at ${side} x ${side} pixels at most`,
  ];
  return `${parts.filter(Boolean).join('; ')}.`;
}
