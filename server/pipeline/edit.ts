/**
 * One edit, from decoded layers to finished ones: LCU++ (arXiv 2501.02487, section 3) around a crop window of
 * the document.
 */
import type { Networks } from '../models/networks.ts';
import { FirstBlockCache } from '../sampling/first-block-cache.ts';
import { schedule } from '../sampling/sigmas.ts';
import { compositeLayer } from './composite.ts';
import { encodeCondition, readUnits } from './condition.ts';
import { decodeTarget } from './decode.ts';
import { denoise } from './denoise.ts';
import type { StageTimings } from './estimate.ts';
import { type EditInput, sizesOf } from './input.ts';
import { describeResult, type FinishedLayer } from './layer.ts';
import { packedNoise } from './packing.ts';
import { Progress, type ProgressHooks } from './progress.ts';
import { resolveEdit } from './resolve.ts';

export interface EditHooks extends ProgressHooks {
  /** Takes a finished variant; the caller reports `done` once the layers are saved. */
  deliver(layer: FinishedLayer): Promise<void>;
}

/**
 * Runs all variants of an edit. They share the encodings and differ only in their noise, drawn from
 * `seed + variant`.
 * @param earlier timings of an earlier edit here, so that the time left is known from the start
 * @param loading seconds it took to load the networks, if this is the first edit with them
 * @returns the timings of this edit, for the next; undefined if steps were reused, because they predict
 * nothing then
 * @throws CodedError `cancelled` from the checkpoint, and what the networks throw
 */
export async function runEdit(
  networks: Networks,
  input: EditInput,
  hooks: EditHooks,
  earlier?: StageTimings,
  loading?: number,
): Promise<StageTimings | undefined> {
  const installed = {
    ...networks.spec,
    adapters: await networks.listAdapters(),
    adapterDefaults: await networks.adapterDefaults(),
  };
  const edit = resolveEdit(input.request, sizesOf(input), installed);
  const adapterNotes = await networks.openAdapters(edit.adapters.map(({ name }) => name));
  const progress = new Progress(networks, edit, input, hooks, earlier);

  await progress.enter('encoding', 0);
  for (const text of adapterNotes) hooks.emit({ type: 'note', text });
  const conditioning = await networks.encodePrompt(edit.prompt, edit.adapters);
  await hooks.checkpoint();
  const units = readUnits(input, edit);
  const condition = await encodeCondition(networks, units, edit);
  const sigmas = schedule('authors', edit.steps, edit.layout.tokens);

  for (let variant = 0; variant < edit.variants; variant++) {
    const seed = (edit.seed + variant) % 2 ** 32;
    const cache = edit.firstBlockCache === 'off' ? undefined : new FirstBlockCache(edit.firstBlockCache);
    const guide = { conditioning, guidance: edit.guidance, adapters: edit.adapters, ...(cache && { cache }) };

    await progress.enter('denoising', variant);
    let latent = packedNoise(seed, condition);
    for await (const step of denoise(networks, condition, guide, sigmas, latent)) {
      latent = step.latent;
      await progress.stepped(step, units.target);
    }

    await progress.enter('decoding', variant);
    const decoded = await decodeTarget(networks, latent, edit.layout);

    await progress.enter('compositing', variant);
    const pixels = compositeLayer(decoded, units.target, input, edit);
    progress.leave();
    const { provider } = networks;
    const made = {
      variant,
      seed,
      provider,
      timings: progress.seconds,
      ...(cache && { stepsReused: cache.reused }),
    };
    await hooks.deliver({ pixels, result: describeResult(edit, input, made) });
  }
  return edit.firstBlockCache === 'off' ? progress.timings(loading) : undefined;
}
