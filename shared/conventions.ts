/**
 * How each model expects an edit, and the only source of defaults for what a request leaves open. Paths are
 * in ali-vilab/ACE_plus unless another repository is named. docs/models.md shows the tables.
 */
import type { Task } from './protocol/request.ts';

/**
 * How a model's weights were trained: as FLUX.1-Fill-dev, as fully fine-tuned ACE++ ("FFT"), or as the small
 * built-in model.
 */
export type ModelFamily = 'fill' | 'fft' | 'pocket';

/** How a model expects one task. */
export interface TaskConvention {
  /** How much of what is under the mask is hidden from the model: 1 hides it, 0 shows it. */
  readonly repaintingScale: number;
  /** Adapters trained for the task, most general first. The first one installed runs at full strength. */
  readonly adapters: readonly string[];
  readonly isTrained: boolean;
}

export interface Convention {
  readonly title: string;
  readonly steps: number;
  /** FLUX's distilled guidance scalar. */
  readonly guidance: number;
  /** Tokens of references and target together. */
  readonly maxSequence: number;
  /** Context around the mask that the model sees, as a share of the mask's longer side. */
  readonly context: number;
  /**
   * Whether a reference keeps its size next to a larger target, instead of being scaled to the target's
   * height.
   */
  readonly keepPixels: boolean;
  /** Padding around a reference that does not fill its slot, in [-1, 1]. */
  readonly padding: number;
  /** Weights of red, green and blue in the grey that recolouring starts from. */
  readonly greyWeights: readonly [number, number, number];
  /** Whether `{image1}` and so on are tokens of the model. */
  readonly namesReferences: boolean;
  /** Whether instructions are cleaned before they are encoded. */
  readonly cleansText: boolean;
  readonly tasks: Readonly<Record<Task, TaskConvention>>;
}

const shown = (repaintingScale: number, ...adapters: readonly string[]): TaskConvention => ({
  repaintingScale,
  adapters,
  isTrained: true,
});
const untrained = (repaintingScale: number): TaskConvention => ({
  repaintingScale,
  adapters: [],
  isTrained: false,
});

/**
 * scepter's GrayAnnotator treats RGB as BGR (modelscope/scepter, scepter/modules/annotator/gray.py), so red
 * gets blue's weight of ITU-R BT.601.
 */
const authorsGrey = [0.114, 0.587, 0.299] as const;

/** Shared by all of the authors' code. */
const authors = {
  // config/ace_plus_fft.yaml, `MAX_SEQ_LEN`; also FLUX.1-Fill-dev's native size of 1024 x 1024.
  maxSequence: 4096,
  context: 0.5,
  // Padded after normalizing, so 0 is mid-grey (inference/utils.py, `T.Pad(padding, fill=0)`).
  padding: 0,
  greyWeights: authorsGrey,
} as const;

/** FLUX.1-Fill-dev without ACE++: it repaints what is hidden. */
const fill: Convention = {
  ...authors,
  title: 'FLUX.1-Fill-dev',
  // huggingface/diffusers, pipeline_flux_fill.py: the defaults of `__call__` and the example above it.
  steps: 50,
  guidance: 30,
  keepPixels: false,
  namesReferences: false,
  cleansText: false,
  tasks: {
    'text-to-image': shown(1),
    'reference-generation': untrained(1),
    'local-editing': untrained(0.5),
    inpaint: shown(1),
    outpaint: shown(1),
    'local-reference-editing': untrained(1),
    'general-editing': untrained(0),
    recolor: untrained(0.5),
    'super-resolution': untrained(0),
    control: untrained(0.5),
  },
};

/** FLUX.1-Fill-dev with one of ACE++'s adapters (infer_lora.py, models/model_zoo.yaml). */
const adapters: Convention = {
  ...authors,
  title: 'FLUX.1-Fill-dev with ACE++’s adapters',
  // config/ace_plus_diffusers_infer.yaml: SAMPLE_STEPS, GUIDE_SCALE.
  steps: 28,
  guidance: 50,
  // inference/ace_plus_diffusers.py calls `preprocess` without `keep_pixels`.
  keepPixels: false,
  // Its tokenizer only knows `{image}`.
  namesReferences: false,
  cleansText: false,
  tasks: {
    'text-to-image': untrained(1),
    'reference-generation': shown(1, 'subject', 'portrait'),
    // models/model_zoo.yaml: LOCAL_EDITING has REPAINTING_SCALE 0.5; infer_lora.py sends 1 for plain
    // repainting.
    'local-editing': shown(0.5, 'local-editing'),
    inpaint: shown(1, 'local-editing'),
    outpaint: untrained(1),
    'local-reference-editing': shown(1, 'subject', 'portrait'),
    'general-editing': untrained(0),
    recolor: shown(0.5, 'local-editing'),
    'super-resolution': untrained(0),
    control: shown(0.5, 'local-editing'),
  },
};

/**
 * Fully fine-tuned ACE++, which has no adapters (config/ace_plus_fft.yaml: PREPROCESSOR, SAMPLE_ARGS,
 * ADDED_IDENTIFIER, CLEAN).
 */
const fft: Convention = {
  ...authors,
  title: 'ACE++ FFT',
  steps: 28,
  guidance: 50,
  // infer_fft.py, `run_one_case(keep_pixels=True)`.
  keepPixels: true,
  namesReferences: true,
  cleansText: true,
  tasks: {
    'text-to-image': shown(1),
    'reference-generation': shown(1),
    // modules/ace_plus_dataset.py: `REPAINTING_SCALE` is 0.5 in training without references.
    'local-editing': shown(0.5),
    inpaint: shown(1),
    outpaint: shown(1),
    'local-reference-editing': shown(1),
    'general-editing': shown(0),
    recolor: shown(0),
    'super-resolution': shown(0),
    control: shown(0),
  },
};

/** As it was trained (training/samples.py), with its own repainting scales, grey and padding. */
const pocket: Convention = {
  title: 'Pocket',
  steps: 12,
  guidance: 4,
  maxSequence: 144,
  // The generated part is about two thirds of the window.
  context: 0.25,
  keepPixels: false,
  padding: -1,
  greyWeights: [0.299, 0.587, 0.114],
  namesReferences: true,
  cleansText: false,
  tasks: {
    'text-to-image': shown(1),
    'reference-generation': shown(1, 'subject', 'portrait'),
    'local-editing': shown(0.5, 'local-editing'),
    inpaint: shown(1),
    outpaint: shown(1),
    'local-reference-editing': shown(1, 'subject', 'portrait'),
    'general-editing': shown(0),
    recolor: shown(0, 'local-editing'),
    'super-resolution': shown(0),
    control: shown(0, 'local-editing'),
  },
};

export const conventions = { fill, adapters, fft, pocket } as const;
export type ConventionName = keyof typeof conventions;

/** ACE++'s published adapters, by the names they are installed under. */
const published: ReadonlySet<string> = new Set(
  Object.values(conventions.adapters.tasks).flatMap((task) => task.adapters),
);

/** The convention for a model with these adapters: FLUX.1-Fill-dev follows a different one with ACE++'s. */
export function conventionName(family: ModelFamily, active: readonly string[]): ConventionName {
  return family === 'fill' && active.some((name) => published.has(name)) ? 'adapters' : family;
}

/** A family's adapters for a task; the first one installed is used. */
export function adaptersFor(family: ModelFamily, task: Task): readonly string[] {
  return conventions[family === 'fill' ? 'adapters' : family].tasks[task].adapters;
}
