/**
 * Plans an edit before it is sent: `resolveEdit` without the pixels, for the model that the engine would
 * load.
 */
import { boundsOf, moved } from '../../shared/bounds.ts';
import { refuseLarge, refuseLargeResult } from '../../shared/limits.ts';
import type { Plan, PlanRequest } from '../../shared/protocol/plan.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { adapterDefaults } from '../catalogue/adapter-defaults.ts';
import { findModel, listAdapters, type ModelEntry } from '../catalogue/catalogue.ts';
import { Estimate, workOf } from '../pipeline/estimate.ts';
import { extendedSize, paintedAround } from '../pipeline/extend.ts';
import type { EditInput } from '../pipeline/input.ts';
import { type LayerSizes, type ResolvedEdit, resolveEdit } from '../pipeline/resolve.ts';
import { deviceMemory } from '../runtime/device-memory.ts';
import { inspectModel, notesOfAdapter } from '../runtime/inspect-model.ts';
import type { MemoryPlan } from '../runtime/memory-plan.ts';
import type { Provider } from '../runtime/provider.ts';
import { defaultModels } from './default-model.ts';
import type { Engine, LoadedModel } from './engine.ts';
import { placeFirst } from './memory-placement.ts';
import { readTimings } from './step-timings.ts';

/** What a plan is based on: the sizes of an edit's layers, and how they were read. */
export interface PlannedLayers extends Pick<EditInput, 'origin' | 'notes'> {
  readonly sizes: LayerSizes;
}

/**
 * The sizes that `readEditInput` would return.
 * @throws CodedError `task-needs`, `instruction-empty`, `too-large`
 */
export function plannedLayers({ request, layers }: PlanRequest): PlannedLayers {
  const { edit, mask, references = [] } = layers;
  for (const [i, size] of references.entries()) refuseLarge(size, `reference ${i + 1}`);
  const given = {
    edit: edit !== undefined,
    mask: mask !== undefined,
    references: references.length,
    margin: edit?.margin ?? false,
  };
  const { task } = resolveTask(request, given);
  const taken = { origin: { left: 0, top: 0 }, notes: [] };
  if (!edit) return { ...taken, sizes: { given, references } };
  refuseLarge(edit, 'picture');
  refuseLargeResult(request, edit);
  if (mask || task !== 'outpaint') {
    return { ...taken, sizes: { given, picture: edit, painted: mask, references } };
  }
  const extended = extendedSize(edit, request);
  const painted = paintedAround(edit, extended, edit.transparent);
  const origin = { left: -extended.left, top: -extended.top };
  return { ...taken, origin, sizes: { given, picture: boundsOf(extended), painted, references } };
}

/**
 * Plans an edit as the engine would run it now.
 * @throws CodedError as the edit would: `task-needs`, `instruction-empty`, `model-unknown`, `model-missing`,
 * `adapter-unknown`, `adapter-invalid`, `out-of-memory`, `provider-unavailable` and the like
 */
export async function planEdit(
  engine: Pick<Engine, 'device' | 'loaded'>,
  request: EditRequest,
  { sizes, origin, notes: inputNotes }: PlannedLayers,
): Promise<Plan> {
  const { provider, form, memory, notes: memoryNotes, isLoaded } = await placeModel(engine, request);
  const { family, measured, stepOperations } = await inspectModel(form);
  const adapters = await listAdapters(form);
  const defaults = await adapterDefaults(form);
  const { id, maxSequence } = form;
  const limit = memory && { fittingSequence: memory.fittingSequence };
  const edit = resolveEdit(request, sizes, {
    id,
    family,
    maxSequence,
    adapters,
    adapterDefaults: defaults,
    ...limit,
  });
  const adapterNotes = await Promise.all(edit.adapters.map(({ name }) => notesOfAdapter(form, name)));
  const earlier = await readTimings(provider, id);
  const work = workOf(edit.layout, stepOperations);
  const running = new Estimate({ ...edit, work, earlier }).secondsLeft(0, 0);
  const opening = isLoaded ? 0 : (earlier?.opening ?? 0);
  return {
    task: edit.task,
    ...(edit.taskReason && { taskReason: edit.taskReason }),
    model: id,
    adapters: edit.adapters,
    provider,
    steps: edit.steps,
    guidance: edit.guidance,
    variants: edit.variants,
    bounds: moved(edit.layer, origin),
    workSize: edit.layout.target,
    ...resolutionOf(edit),
    memory: memory ? { bytes: memory.bytes, inTurn: memory.inTurn } : null,
    loading: isLoaded ? null : { bytes: measured.bytes, seconds: earlier?.opening ?? null },
    seconds: running === undefined ? null : Math.round((running + opening) * 10) / 10,
    notes: [...memoryNotes, ...inputNotes, ...edit.notes, ...adapterNotes.flat()],
  };
}

interface PlacedModel {
  readonly provider: Provider;
  readonly form: ModelEntry;
  readonly memory?: Pick<MemoryPlan, 'fittingSequence' | 'bytes' | 'inTurn'> | undefined;
  readonly notes: readonly string[];
  readonly isLoaded: boolean;
}

/** The loaded model if it is the one requested, otherwise the one that would be loaded. */
async function placeModel(
  engine: Pick<Engine, 'device' | 'loaded'>,
  { model: wanted }: Pick<EditRequest, 'model'>,
): Promise<PlacedModel> {
  const { loaded } = engine;
  if (loaded && loaded.wanted === (wanted ?? null)) {
    const { provider, memory } = loaded;
    return { provider, form: await findModel(loaded.model), memory, notes: [], isLoaded: true };
  }
  const { provider, dtype } = await engine.device();
  const models = wanted === undefined ? await defaultModels(provider) : [await findModel(wanted)];
  const free = await freeMemory(provider, loaded);
  const { form, plan, notes } = await placeFirst(models, provider, dtype, free);
  return { provider, form, memory: plan, notes, isLoaded: false };
}

/** Free memory, including the loaded model's: it is released before another one is loaded. */
async function freeMemory(provider: Provider, loaded: LoadedModel | undefined) {
  const memory = await deviceMemory(provider);
  const taken = loaded?.memory?.bytes ?? 0;
  return memory && { ...memory, free: Math.min(memory.total, memory.free + taken) };
}

function resolutionOf({ layout, output, sources }: ResolvedEdit): Pick<Plan, 'resolution' | 'limitedBy'> {
  const { target, alone } = layout;
  const share = Math.min(target.width / output.width, target.height / output.height);
  const resolution = Math.round(share * 1000) / 1000;
  if (resolution >= 1) return { resolution, limitedBy: null };
  if (alone.width > target.width) return { resolution, limitedBy: 'references' };
  const { maxSequence: source } = sources;
  const limitedBy = source === 'device' ? 'device' : source === 'asked' ? 'request' : 'model';
  return { resolution, limitedBy };
}
