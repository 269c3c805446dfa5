/**
 * Settles an edit before anything is computed: every value that a request may leave open, and where the edit
 * takes place. Works from sizes, not pixels, so that a plan can be shown before the edit is sent.
 */
import { randomInt } from 'node:crypto';
import type { Bounds } from '../../shared/bounds.ts';
import { boundsOf, type Size } from '../../shared/bounds.ts';
import { adaptersFor, type Convention, conventionName, conventions } from '../../shared/conventions.ts';
import { cropWindow, nativeSide } from '../../shared/crop-window.ts';
import type { Given, Reason } from '../../shared/intent/intent.ts';
import type { EditRequest, Task } from '../../shared/protocol/request.ts';
import { resolveTask } from '../../shared/tasks.ts';
import { layOutUnits, type UnitLayout } from '../../shared/units.ts';
import type { AdapterDefaults, AdapterScale, ModelSpec } from '../models/networks.ts';
import { promptOf } from './prompt.ts';

/** What came with a request. */
export interface LayerSizes {
  /** The layers as they were sent, from which the task is chosen. */
  readonly given: Given;
  /** The picture to edit, including what outpainting adds. */
  readonly picture?: Size | undefined;
  /** The part of it that the mask covers or outpainting adds; absent if all of it is regenerated. */
  readonly painted?: Bounds | undefined;
  readonly references: readonly Size[];
}

/** A model and the adapters installed for it. */
export type InstalledModel = Pick<ModelSpec, 'id' | 'family' | 'maxSequence' | 'fittingSequence'> & {
  readonly adapters: readonly string[];
  /** The steps and guidance that some adapters were made for, by adapter name. */
  readonly adapterDefaults?: Readonly<Record<string, AdapterDefaults>>;
};

/** Every value of an edit. Nothing further down reads the request again. */
export interface EditSettings {
  readonly model: string;
  readonly task: Task;
  /** The text to encode. */
  readonly prompt: string;
  readonly adapters: readonly AdapterScale[];
  readonly steps: number;
  readonly guidance: number;
  /** How much of what is under the mask is hidden from the model, 0 to 1. */
  readonly repaintingScale: number;
  readonly keepPixels: boolean;
  /** Padding around a reference that does not fill its slot, in [-1, 1]. */
  readonly padding: number;
  /** Weights of red, green and blue in the grey of recolouring. */
  readonly greyWeights: readonly [number, number, number];
  /** Tokens of references and target together. */
  readonly maxSequence: number;
  /** Context around the mask, as a share of the mask's longer side. */
  readonly context: number;
  /** Seed of the first variant; each further variant adds one. */
  readonly seed: number;
  readonly variants: number;
  readonly preview: boolean;
  /** How much the first block may change between steps for the others to be taken from a cache. */
  readonly firstBlockCache: number | 'off';
}

/**
 * Where a value comes from: the request, the words of its instruction, the layers sent with it, the needs of
 * the task, the model or an adapter, the limits of the device's memory, or the protocol's default.
 */
export type Source = 'asked' | 'words' | 'layers' | 'task' | 'model' | 'adapter' | 'device' | 'default';

/**
 * Where an edit takes place: in the picture, in the model and in the layer. All bounds are in the picture's
 * pixels.
 */
export interface EditPlacement {
  /** The part of the picture that the model sees. */
  readonly window: Bounds;
  /** Where the window lies in the result: the same, except in super-resolution to another size. */
  readonly output: Bounds;
  /** The part of `output` that the layer covers. */
  readonly layer: Bounds;
  readonly layout: UnitLayout;
}

export interface ResolvedEdit extends EditSettings, EditPlacement {
  readonly sources: { readonly [Name in keyof EditSettings]: Source };
  /** Why this task was chosen, if the request left it open. */
  readonly taskReason?: Reason | undefined;
  /** What the user should know before seeing the result. */
  readonly notes: readonly string[];
}

/**
 * Settles an edit.
 * @throws CodedError `task-needs`, `instruction-empty`
 */
export function resolveEdit(request: EditRequest, layers: LayerSizes, model: InstalledModel): ResolvedEdit {
  const { task, source: taskSource, intent } = resolveTask(request, layers.given);
  const adapters = or(request.adapters, chooseAdapters(task, model), 'task');
  const wanted = wantedByAdapters(adapters.value, model);
  const convention = conventionOf(model, adapters.value);
  const prompt = promptOf(request.instruction, convention, model.id, layers.references.length);
  const { repaintingScale } = convention.tasks[task];
  const settled: SettledAll<EditSettings> = {
    model: { value: model.id, source: request.model === undefined ? 'default' : 'asked' },
    task: { value: task, source: taskSource },
    prompt: { value: prompt.text, source: prompt.text === request.instruction ? 'asked' : 'model' },
    adapters,
    steps: or(
      request.steps,
      wanted.steps ?? convention.steps,
      wanted.steps === undefined ? 'model' : 'adapter',
    ),
    guidance: or(
      request.guidance,
      wanted.guidance ?? convention.guidance,
      wanted.guidance === undefined ? 'model' : 'adapter',
    ),
    repaintingScale: or(request.repaintingScale, repaintingScale, 'task'),
    keepPixels: or(request.keepPixels, convention.keepPixels, 'model'),
    padding: { value: convention.padding, source: 'model' },
    greyWeights: { value: convention.greyWeights, source: 'model' },
    maxSequence: fitting(or(request.window?.maxSequence, model.maxSequence, 'model'), model.fittingSequence),
    context: or(request.window?.context, convention.context, 'model'),
    seed: or(request.seed, randomInt(2 ** 32), 'default'),
    variants: or(request.variants, variantsOf(request), 'default'),
    preview: or(request.preview, false, 'default'),
    firstBlockCache: or<number | 'off'>(request.firstBlockCache, 'off', 'default'),
  };
  const settings = valuesOf(settled);
  const sources = sourcesOf(settled);
  const placement = placeEdit(request, layers, settings);
  const notes = [
    ...modelNotes(settings, model),
    ...adapterNotes(settings, sources),
    ...prompt.notes,
    ...sizeNotes(placement),
  ];
  return { ...settings, sources, taskReason: intent?.reason, ...placement, notes };
}

interface Settled<T> {
  readonly value: T;
  readonly source: Source;
}

type SettledAll<Values> = { readonly [Name in keyof Values]: Settled<Values[Name]> };

function chooseAdapters(task: Task, { family, adapters }: InstalledModel): AdapterScale[] {
  const name = adaptersFor(family, task).find((adapter) => adapters.includes(adapter));
  return name === undefined ? [] : [{ name, scale: 1 }];
}

function conventionOf({ family }: InstalledModel, adapters: readonly AdapterScale[]): Convention {
  const active = adapters.filter(({ scale }) => scale !== 0).map(({ name }) => name);
  return conventions[conventionName(family, active)];
}

/**
 * Notes for a model that wasn't trained for the task: what would add it, or which model was trained for it.
 */
function modelNotes({ task, adapters }: EditSettings, model: InstalledModel): string[] {
  if (conventionOf(model, adapters).tasks[task].isTrained) return [];
  const trained = adaptersFor(model.family, task);
  const better =
    trained.length > 0
      ? `its adapter${trained.length > 1 ? 's' : ''} ${trained.map((name) => `“${name}”`).join(' and ')} ${trained.length > 1 ? 'were' : 'was'}`
      : '“ace-plus-fft” was';
  return [`“${model.id}” was not trained for the task "${task}" as it runs here; ${better}.`];
}

/** The value from the first adapter that sets one. */
function wantedByAdapters(
  adapters: readonly AdapterScale[],
  { adapterDefaults = {} }: InstalledModel,
): AdapterDefaults {
  const own = adapters.filter(({ scale }) => scale !== 0).map(({ name }) => adapterDefaults[name]);
  return own.find((defaults) => defaults !== undefined) ?? {};
}

function adapterNotes({ steps, guidance }: EditSettings, sources: ResolvedEdit['sources']): string[] {
  const parts = [
    sources.steps === 'adapter' && `${steps} steps`,
    sources.guidance === 'adapter' && `guidance ${guidance}`,
  ].filter(Boolean);
  return parts.length === 0 ? [] : [`An adapter sets ${parts.join(' and ')}.`];
}

/** The number of layers an edit makes; reported before the model that settles the rest is loaded. */
export function variantsOf({ variants = 1 }: Pick<EditRequest, 'variants'>): number {
  return variants;
}

/** The requested value, or its default with its source. */
function or<T>(asked: T | undefined, otherwise: T, source: Source): Settled<T> {
  return asked === undefined ? { value: otherwise, source } : { value: asked, source: 'asked' };
}

function fitting(wanted: Settled<number>, most = Number.POSITIVE_INFINITY): Settled<number> {
  return most < wanted.value ? { value: most, source: 'device' } : wanted;
}

/** Chooses the crop window and the sizes in the model. */
function placeEdit(
  asked: Pick<EditRequest, 'width' | 'height'>,
  { picture, painted, references }: LayerSizes,
  { task, maxSequence, context, keepPixels }: EditSettings,
): EditPlacement {
  const native = nativeSide(maxSequence);
  const whole = picture ?? { width: asked.width ?? native, height: asked.height ?? native };
  const isEnlarged = task === 'super-resolution' && !painted && (asked.width || asked.height);
  const enlarged = isEnlarged ? boundsOf(enlargedSize(whole, asked)) : undefined;
  const layer = painted ?? boundsOf(whole);
  const shares = references.reduce((sum, { width, height }) => sum + Math.min(4, width / height), 1);
  const least = nativeSide(maxSequence / shares);
  const window = picture ? cropWindow(layer, picture, { context, least }) : boundsOf(whole);
  const output = enlarged ?? window;
  const layout = layOutUnits(output, references, { maxSequence, keepPixels });
  return { window, output, layer: enlarged ?? layer, layout };
}

/** The size for super-resolution; if only one side is given, the other follows. */
function enlargedSize(picture: Size, asked: Pick<EditRequest, 'width' | 'height'>): Size {
  const width = asked.width ?? Math.round((picture.width * (asked.height ?? 1)) / picture.height);
  return { width, height: asked.height ?? Math.round((picture.height * width) / picture.width) };
}

/** Notes on the resolution lost if the model works below the picture's size. */
function sizeNotes({ output, layout: { target, alone } }: EditPlacement): string[] {
  if (target.width >= 0.9 * output.width && target.height >= 0.9 * output.height) return [];
  const worked = `${target.width} x ${target.height}`;
  return [
    alone.width > target.width
      ? `The references lower this edit to ${worked} pixels; without them it would be ${alone.width} x ${alone.height}.`
      : `This edit is computed at ${worked} pixels and scaled to the picture’s ${output.width} x ${output.height}.`,
  ];
}

function valuesOf<Values extends object>(settled: SettledAll<Values>): Values {
  const entries = Object.entries<Settled<unknown>>(settled);
  return Object.fromEntries(entries.map(([name, { value }]) => [name, value])) as Values;
}

function sourcesOf<Values extends object>(
  settled: SettledAll<Values>,
): { readonly [Name in keyof Values]: Source } {
  const entries = Object.entries<Settled<unknown>>(settled);
  return Object.fromEntries(entries.map(([name, { source }]) => [name, source])) as Record<
    keyof Values,
    Source
  >;
}
