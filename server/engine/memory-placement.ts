import { CodedError } from '../../shared/errors.ts';
import { formsOf, type ModelEntry } from '../catalogue/catalogue.ts';
import type { ComputeDType } from '../graph/precision.ts';
import { bytesPerElement } from '../graph/value.ts';
import { type DeviceMemory, deviceMemory } from '../runtime/device-memory.ts';
import { measureModel } from '../runtime/measure-model.ts';
import { gigabytes, type MemoryPlan, planMemory } from '../runtime/memory-plan.ts';
import type { Provider } from '../runtime/provider.ts';

export interface MemoryPlacement {
  /** The model itself, or the same in fewer bits. */
  readonly form: ModelEntry;
  readonly plan?: MemoryPlan | undefined;
  /** What the person should know of it. */
  readonly note?: string | undefined;
}

/** Below this, weights fit anywhere, and activations are what they are. */
const small = 1e9;

/**
 * Decides in which form a model runs on a device, and how.
 * @param type what the transformer computes in
 * @param memory of the device, which is asked if this is not given
 * @throws CodedError `out-of-memory` where not even the smallest form fits on a GPU
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
    // Weights lie in files that main memory maps: what does not fit is read again and again, but nothing fails.
    const form = entries.at(-1)!;
    const size = gigabytes(measured.at(-1)!.transformer.bytes);
    const free = gigabytes(memory.free);
    return {
      form,
      note: `“${form.id}” has ${size} of weights and ${free} of memory are free: each step reads them from the disk anew, which is slow.`,
    };
  }
}

export interface FittingModel extends Omit<MemoryPlacement, 'note'> {
  /** What the person should know: why an earlier one was left out, and how this one runs. */
  readonly notes: readonly string[];
}

/**
 * The first of the models that fits into the memory, in the form that does.
 * @throws CodedError `out-of-memory` where none fits
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

/** Nothing, where the model runs as it was asked for with all weights beside each other. */
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
    inTurn && 'the text encoders are loaded anew for each new instruction',
    fittingSequence < maxSequence && `edits are computed at no more than ${side} x ${side} pixels`,
  ];
  return `${parts.filter(Boolean).join('; ')}.`;
}
