/** Reports the progress of an edit (stages, steps with previews, time left) and measures each stage. */
import { moved } from '../../shared/bounds.ts';
import type { EditEventBody, Stage } from '../../shared/protocol/events.ts';
import type { TargetUnit } from '../../shared/units.ts';
import type { Networks } from '../models/networks.ts';
import { decodeTarget } from './decode.ts';
import type { DenoisingStep } from './denoise.ts';
import { Estimate, type StageTimings, workOf } from './estimate.ts';
import type { EditInput } from './input.ts';
import { layerPreview, PreviewThrottle } from './preview.ts';
import type { ResolvedEdit } from './resolve.ts';

export interface ProgressHooks {
  emit(event: EditEventBody): void;
  /** Lets other events in, and throws the CodedError `cancelled` if the edit was cancelled. */
  checkpoint(): Promise<void>;
}

/** The stages of an edit whose networks are loaded. */
type RunStage = Exclude<Stage, 'loading'>;

export class Progress {
  readonly #networks: Networks;
  readonly #edit: ResolvedEdit;
  readonly #origin: EditInput['origin'];
  readonly #notes: readonly string[];
  readonly #hooks: ProgressHooks;
  readonly #estimate: Estimate;
  readonly #seconds: Record<RunStage, number> = { encoding: 0, denoising: 0, decoding: 0, compositing: 0 };
  #throttle = new PreviewThrottle();
  #variant = 0;
  #stage: RunStage | undefined;
  #stageStarted = 0;
  #stepStarted = 0;

  /** @param earlier timings of an earlier edit here, so that the time left is known from the start */
  constructor(
    networks: Networks,
    edit: ResolvedEdit,
    input: Pick<EditInput, 'origin' | 'notes'>,
    hooks: ProgressHooks,
    earlier: StageTimings | undefined,
  ) {
    this.#networks = networks;
    this.#edit = edit;
    this.#origin = input.origin;
    this.#notes = [...input.notes, ...edit.notes];
    this.#hooks = hooks;
    const work = workOf(edit.layout, networks.stepOperations);
    this.#estimate = new Estimate({ steps: edit.steps, variants: edit.variants, work, earlier });
  }

  /** Ends the previous stage, and checks whether the edit was cancelled. */
  async enter(stage: RunStage, variant: number): Promise<void> {
    this.leave();
    const stepsDone = stage === 'decoding' || stage === 'compositing' ? this.#edit.steps : 0;
    const secondsLeft = this.#estimate.secondsLeft(variant, stepsDone);
    const known = secondsLeft === undefined ? {} : { secondsLeft };
    this.#hooks.emit({ type: 'stage', stage, variant, variants: this.#edit.variants, ...known });
    this.#stage = stage;
    this.#variant = variant;
    this.#stageStarted = performance.now();
    if (stage === 'encoding') {
      for (const text of this.#notes) this.#hooks.emit({ type: 'note', text });
    }
    if (stage === 'denoising') this.#throttle = new PreviewThrottle();
    await this.#hooks.checkpoint();
    this.#stepStarted = performance.now();
  }

  /** Ends the current stage. */
  leave(): void {
    const stage = this.#stage;
    if (!stage) return;
    this.#stage = undefined;
    const seconds = Math.round(performance.now() - this.#stageStarted) / 1000;
    this.#seconds[stage] = seconds;
    if (stage === 'encoding') this.#estimate.encoded(seconds);
    // What follows the last step: decoding, and compositing the layer.
    if (stage === 'compositing') this.#estimate.decoded(this.#seconds.decoding + seconds);
  }

  /** Reports a denoising step, with a preview if one was requested and is due. */
  async stepped({ step, predictX0 }: DenoisingStep, target: TargetUnit): Promise<void> {
    const { steps, variants, preview, layer } = this.#edit;
    const stepped = performance.now();
    let jpeg: string | undefined;
    if (preview && step < steps && this.#throttle.isDue(stepped)) {
      const decoded = await decodeTarget(this.#networks, predictX0(), this.#edit.layout);
      jpeg = await layerPreview(decoded, target, this.#edit);
      this.#throttle.made(stepped, performance.now());
    }
    this.#estimate.stepped((stepped - this.#stepStarted) / 1000, (performance.now() - stepped) / 1000);
    this.#hooks.emit({
      type: 'step',
      variant: this.#variant,
      variants,
      step,
      steps,
      secondsLeft: this.#estimate.secondsLeft(this.#variant, step)!,
      ...(jpeg && { preview: jpeg, previewBounds: moved(layer, this.#origin) }),
    });
    await this.#hooks.checkpoint();
    this.#stepStarted = performance.now();
  }

  /** Seconds of each stage of the last variant; the encoding is shared by all. */
  get seconds(): Readonly<Record<RunStage, number>> {
    return { ...this.#seconds };
  }

  /** The stage timings, for the estimate of the next edit. */
  timings(loading?: number): StageTimings {
    return this.#estimate.timings(loading);
  }
}
