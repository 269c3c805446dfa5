/** How each model expects an edit to be put to it: the one place where a value comes from that a request leaves open. */
import type { Task } from './protocol/request.ts';

/** Models that were trained alike: FLUX.1-Fill-dev with or without ACE++'s adapters, ACE++ fully tuned, and the one that ships. */
export type ModelFamily = 'fill' | 'fft' | 'pocket';

/** How one task is put to a model. */
export interface TaskConvention {
  /** How much of what is under the mask is hidden from the model: 1 hides it, 0 shows it (the paper's table of tasks). */
  readonly repaintingScale: number;
  /** Adapters that were trained for the task, the most general first: the first that is installed runs at full strength. */
  readonly adapters: readonly string[];
}

export interface Convention {
  readonly steps: number;
  /** FLUX's distilled guidance scalar. */
  readonly guidance: number;
  /** Context around the mask that the model is shown, as a share of the mask's longer side. */
  readonly context: number;
  /** Whether a reference that is small beside the target keeps its pixels, instead of being brought to the target's height. */
  readonly keepPixels: boolean;
  readonly tasks: Readonly<Record<Task, TaskConvention>>;
}

/** What ACE++ publishes adapters for; the rest FLUX.1-Fill-dev does by itself. */
const adapterTasks: Convention['tasks'] = {
  'text-to-image': { repaintingScale: 1, adapters: [] },
  'reference-generation': { repaintingScale: 1, adapters: ['subject', 'portrait'] },
  'local-editing': { repaintingScale: 0.5, adapters: ['local-editing'] },
  inpaint: { repaintingScale: 1, adapters: [] },
  outpaint: { repaintingScale: 1, adapters: [] },
  'local-reference-editing': { repaintingScale: 1, adapters: ['subject', 'portrait'] },
  'general-editing': { repaintingScale: 0, adapters: [] },
  recolor: { repaintingScale: 0, adapters: ['local-editing'] },
  'super-resolution': { repaintingScale: 0, adapters: [] },
  control: { repaintingScale: 0, adapters: ['local-editing'] },
};

const fill: Convention = { steps: 28, guidance: 50, context: 0.5, keepPixels: false, tasks: adapterTasks };

/** The fully tuned model was trained for all tasks and has no adapters of its own. */
const fft: Convention = {
  ...fill,
  tasks: mapTasks(adapterTasks, ({ repaintingScale }) => ({ repaintingScale, adapters: [] })),
};

/** As it was trained (training/samples.py): what it makes is some two thirds of the window. */
const pocket: Convention = { ...fill, steps: 12, guidance: 4, context: 0.25 };

export const conventions: Readonly<Record<ModelFamily, Convention>> = { fill, fft, pocket };

function mapTasks(
  tasks: Convention['tasks'],
  change: (convention: TaskConvention) => TaskConvention,
): Convention['tasks'] {
  const changed = Object.entries(tasks).map(([task, convention]) => [task, change(convention)]);
  return Object.fromEntries(changed) as Convention['tasks'];
}
