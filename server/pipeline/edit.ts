/** One edit, from decoded layers to finished ones: LCU++ (arXiv 2501.02487, section 3) around a crop window of the document. */

import { moved } from '../../shared/bounds.ts';
import { matchSurroundings } from '../../shared/colour.ts';
import type { Planar } from '../../shared/image.ts';
import type { EditEventBody, Stage } from '../../shared/protocol/events.ts';
import type { ConditionUnits } from '../../shared/units.ts';
import type { Latent, Networks, PlanarImage, PromptEmbeddings } from '../models/networks.ts';
import { eulerStep, predictX0 } from '../sampling/euler.ts';
import { FirstBlockCache } from '../sampling/first-block-cache.ts';
import { randn } from '../sampling/noise.ts';
import { schedule } from '../sampling/sigmas.ts';
import { Estimate, type StageTimings, type Work } from './estimate.ts';
import type { EditInput } from './input.ts';
import type { FinishedLayer } from './layer.ts';
import { packedChannels, packInto, unpack, unshuffleMask } from './packing.ts';
import {
  conditionUnits,
  type EditPlan,
  layerPart,
  planAlpha,
  planEdit,
  readTarget,
  type TargetInputs,
} from './plan.ts';
import { PreviewThrottle, previewJPEG } from './preview.ts';
import { stitchLayer } from './stitch.ts';

export interface EditHooks {
  emit(event: EditEventBody): void;
  /** Lets other events in, and throws the CodedError `cancelled` if the edit is to end. */
  checkpoint(): Promise<void>;
  /** Takes a finished variant; `done` is for the caller to tell, once the layers are kept. */
  deliver(layer: FinishedLayer): Promise<void>;
}

/**
 * Runs all variants of an edit; they share the encodings and differ in their noise, drawn from `seed + variant`.
 * @param earlier what an earlier edit took here, so that the time left is known from the start
 * @returns what this one took, for the next
 * @throws CodedError `cancelled` from the checkpoint, and what the networks throw
 */
export async function runEdit(
  networks: Networks,
  input: EditInput,
  hooks: EditHooks,
  earlier?: StageTimings,
): Promise<StageTimings> {
  const { spec } = networks;
  const { request } = input;
  const variants = request.variants ?? 1;
  const steps = request.steps ?? spec.defaultSteps;
  const guidance = request.guidance ?? spec.defaultGuidance;
  const plan = planEdit(input, spec);
  const estimate = new Estimate({ steps, variants, work: workOf(networks, plan), earlier });
  const clock = new StageClock(variants, estimate, hooks);

  clock.enter('encoding', 0);
  for (const text of [...input.notes, ...plan.notes]) hooks.emit({ type: 'note', text });
  await hooks.checkpoint();
  const conditioning = await networks.encodePrompt(request.instruction);
  await hooks.checkpoint();
  const target = readTarget(input, plan);
  const units = conditionUnits(input, plan, target, spec.inChannels === 448);
  const condition = await packCondition(networks, units);
  const encoding = clock.leave();
  estimate.encoded(encoding);

  const sigmas = schedule('authors', steps, plan.layout.tokens);
  for (let variant = 0; variant < variants; variant++) {
    const seed = (input.seed + variant) % 2 ** 32;
    clock.enter('denoising', variant);
    const threshold = request.firstBlockCache;
    const cache = threshold === undefined ? undefined : new FirstBlockCache(threshold);
    const x = await denoise(
      networks,
      { input, plan, target, conditioning, condition, guidance, cache },
      sigmas,
      seed,
      {
        hooks,
        variant,
        variants,
        estimate,
      },
    );
    const denoising = clock.leave();

    clock.enter('decoding', variant, steps);
    await hooks.checkpoint();
    const decoded = await networks.vaeDecode(targetLatent(x, plan));
    const decoding = clock.leave();
    estimate.decoded(decoding);

    clock.enter('compositing', variant, steps);
    await hooks.checkpoint();
    const pixels = finish(input, plan, target, decoded);
    const compositing = clock.leave();
    await hooks.deliver({
      pixels,
      result: {
        variant,
        bounds: moved(plan.layer, input.origin),
        seed,
        steps,
        ...(cache && { stepsReused: cache.reused }),
        guidance,
        task: input.task,
        model: spec.id,
        adapters: request.adapters ?? [],
        provider: networks.provider,
        workSize: plan.layout.target,
        timings: { encoding, denoising, decoding, compositing },
      },
    });
  }
  return estimate.timings();
}

function workOf(networks: Networks, { layout: { joined, target } }: EditPlan): Work {
  const pixels = joined.width * joined.height;
  return {
    encoding: pixels,
    step: networks.stepOperations(pixels / 256),
    decoding: target.width * target.height,
  };
}

interface Condition {
  /** Packed, [tokens, inChannels]; the first 64 columns are the noise's. */
  readonly input: Float32Array;
  readonly inChannels: number;
  readonly rows: number;
  readonly columns: number;
}

/** Everything but the noise: latents of what is shown, the change image (FFT) and the mask with all its pixels. */
async function packCondition(networks: Networks, units: ConditionUnits): Promise<Condition> {
  const { inChannels } = networks.spec;
  const rows = units.mask.height / 16;
  const columns = units.mask.width / 16;
  const input = new Float32Array(rows * columns * inChannels);
  let offset = packedChannels;
  const append = (latent: Latent) => {
    packInto(input, inChannels, offset, latent);
    offset += latent.channels * 4;
  };
  append(await networks.vaeEncode(units.edit));
  if (units.change) append(await networks.vaeEncode(units.change));
  append(unshuffleMask(units.mask));
  return { input, inChannels, rows, columns };
}

interface DenoiseInputs {
  readonly input: EditInput;
  readonly plan: EditPlan;
  readonly target: TargetInputs;
  readonly conditioning: PromptEmbeddings;
  readonly condition: Condition;
  readonly guidance: number;
  readonly cache: FirstBlockCache | undefined;
}

interface DenoiseReport {
  readonly hooks: EditHooks;
  readonly variant: number;
  readonly variants: number;
  readonly estimate: Estimate;
}

/** From noise to the joined latent, packed, [tokens, 64]. */
async function denoise(
  networks: Networks,
  { input, plan, target, conditioning, condition, guidance, cache }: DenoiseInputs,
  sigmas: readonly number[],
  seed: number,
  { hooks, variant, variants, estimate }: DenoiseReport,
): Promise<Float32Array> {
  const { rows, columns, inChannels } = condition;
  const steps = sigmas.length - 1;
  const x = packedNoise(seed, rows, columns);
  const throttle = new PreviewThrottle();
  for (let step = 0; step < steps; step++) {
    await hooks.checkpoint();
    const started = performance.now();
    const sigma = sigmas[step]!;
    placeNoise(condition.input, inChannels, x);
    const velocity = await networks.velocity({
      input: condition.input,
      rows,
      columns,
      conditioning,
      sigma,
      guidance,
      adapters: input.request.adapters ?? [],
      ...(cache && { cache }),
    });
    const wantsPreview = input.request.preview && step + 1 < steps && throttle.isDue(performance.now());
    const clean = wantsPreview ? predictX0(x, velocity, sigma) : undefined;
    eulerStep(x, velocity, sigma, sigmas[step + 1]!);
    const stepped = performance.now();
    let preview: string | undefined;
    if (clean) {
      const decoded = await networks.vaeDecode(targetLatent(clean, plan));
      preview = await previewJPEG(layerPart(overKnown(decoded, target), plan));
      throttle.made(stepped, performance.now());
    }
    estimate.stepped((stepped - started) / 1000, (performance.now() - stepped) / 1000);
    hooks.emit({
      type: 'step',
      variant,
      variants,
      step: step + 1,
      steps,
      secondsLeft: estimate.secondsLeft(variant, step + 1)!,
      ...(preview && { preview, previewBounds: moved(plan.layer, input.origin) }),
    });
  }
  return x;
}

/** Noise in the unpacked order of the whole joined latent, as diffusers draws it, then packed: [tokens, 64]. */
function packedNoise(seed: number, rows: number, columns: number): Float32Array {
  const channels = packedChannels / 4;
  const [height, width] = [rows * 2, columns * 2];
  const data = randn(seed, channels * height * width);
  const packed = new Float32Array(data.length);
  packInto(packed, packedChannels, 0, { data, channels, width, height });
  return packed;
}

function placeNoise(into: Float32Array, columns: number, x: Float32Array): void {
  for (let token = 0; token * packedChannels < x.length; token++) {
    into.set(x.subarray(token * packedChannels, (token + 1) * packedChannels), token * columns);
  }
}

/** The target's part of the joined latent: its right end. */
function targetLatent(packed: Float32Array, { layout }: EditPlan): Latent {
  const { joined, target } = layout;
  const grid = { rows: joined.height / 16, columns: joined.width / 16 };
  return unpack(packed, grid, (joined.width - target.width) / 16);
}

/** What was generated inside the mask, over what is known outside. */
function overKnown(generated: PlanarImage, { image, mask }: TargetInputs): Planar {
  const data = generated.data.slice();
  if (image) {
    for (let i = 0; i < data.length; i++) {
      if (mask.data[i % mask.data.length] === 0) data[i] = image.data[i]!;
    }
  }
  return { ...generated, channels: 3, data };
}

/** The decoded target as the layer's pixels: colours matched to the surroundings, at the document's resolution, masked. */
function finish(
  input: EditInput,
  plan: EditPlan,
  target: TargetInputs,
  decoded: PlanarImage,
): FinishedLayer['pixels'] {
  const generated = { ...decoded, channels: 3 };
  const matched = target.image ? matchSurroundings(generated, target.image, target.mask) : generated;
  const deep = input.edit?.data instanceof Uint16Array;
  return stitchLayer(matched, plan.output, plan.layer, planAlpha(input, plan), deep);
}

/** Tells the stages and takes their time. */
class StageClock {
  readonly #variants: number;
  readonly #estimate: Estimate;
  readonly #hooks: EditHooks;
  #started = 0;

  constructor(variants: number, estimate: Estimate, hooks: EditHooks) {
    this.#variants = variants;
    this.#estimate = estimate;
    this.#hooks = hooks;
  }

  enter(stage: Stage, variant: number, stepsDone = 0): void {
    const secondsLeft = this.#estimate.secondsLeft(variant, stepsDone);
    const known = secondsLeft === undefined ? {} : { secondsLeft };
    this.#hooks.emit({ type: 'stage', stage, variant, variants: this.#variants, ...known });
    this.#started = performance.now();
  }

  /** Seconds since the stage was entered. */
  leave(): number {
    return Math.round(performance.now() - this.#started) / 1000;
  }
}
