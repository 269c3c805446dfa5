/** Random edits, the same in every run, and each one's plan next to what the edit then was. */
import type { Plan, PlanRequest } from '../../../shared/protocol/plan.ts';

import type { EditRequest, Task } from '../../../shared/protocol/request.ts';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { type Answer, pixels, type RunningCompanion } from '../http/running-companion.ts';

export interface RandomEdit {
  readonly plan: PlanRequest;
  readonly body: Uint8Array<ArrayBuffer>;
}

const instructions = [
  'a red lamp',
  'remove the cup',
  'make it blue',
  'mach es schärfer',
  'put {image1} beside {image2}',
  'extend to the left',
  'turn it into old oak',
  '水彩画にして',
  '',
] as const;
const asked: readonly Task[] = ['inpaint', 'outpaint', 'recolor', 'general-editing', 'super-resolution'];
const adapterLists = [[], [{ name: 'subject', scale: 0.7 }], [{ name: 'local-editing', scale: 1 }]];

/** @param seed the same seed gives the same edit */
export function randomEdit(seed: number): RandomEdit {
  const dice = diceOf(seed);
  const maybe = <T>(value: () => T, share = 0.5): T | undefined =>
    dice(0, 99) < share * 100 ? value() : undefined;
  const one = <T>(values: readonly T[]): T => values[dice(0, values.length - 1)]!;
  const size = () => ({ width: dice(24, 300), height: dice(24, 300) });

  const edit = maybe(size, 0.8);
  const isMargin = edit !== undefined && dice(0, 4) === 0;
  const clear = isMargin ? dice(1, Math.floor(edit.width / 2)) : 0;
  const mask = edit && maybe(() => areaIn(edit, dice), 0.6);
  const references = Array.from({ length: dice(0, 2) }, size);
  const [task, model, adapters, width, height] = [
    maybe(() => one(asked), 0.3),
    maybe(() => one(['pocket', 'tiny'])),
    maybe(() => one(adapterLists), 0.3),
    maybe(() => dice(16, 400), 0.3),
    maybe(() => dice(16, 400), 0.3),
  ];
  const request: EditRequest = {
    version: 1,
    instruction: one(instructions),
    steps: 1,
    seed: dice(0, 1000),
    window: { maxSequence: dice(16, 144), ...maybe(() => ({ context: dice(0, 200) / 100 })) },
    ...(task && { task }),
    ...(model && { model }),
    ...(adapters && { adapters }),
    ...(width && { width }),
    ...(height && { height }),
  };
  const tensors = new Map<string, Tensor>();
  if (edit) {
    const isClear = (i: number) => (i >> 2) % edit.width < clear;
    const at = (i: number) => (i % 4 < 3 ? (i * 7) % 251 : isClear(i) ? 0 : 255);
    tensors.set('edit', pixels([edit.height, edit.width, 4], at));
  }
  if (edit && mask) {
    const isIn = (x: number, y: number) =>
      x >= mask.left && x < mask.left + mask.width && y >= mask.top && y < mask.top + mask.height;
    const at = (i: number) => (isIn(i % edit.width, Math.floor(i / edit.width)) ? 255 : 0);
    tensors.set('mask', pixels([edit.height, edit.width], at));
  }
  references.forEach((r, k) => {
    tensors.set(
      `reference.${k}`,
      pixels([r.height, r.width, 3], (i) => (i * 11) % 253),
    );
  });
  const transparent = edit && clear > 0 ? { left: 0, top: 0, width: clear, height: edit.height } : undefined;
  return {
    plan: {
      request,
      layers: {
        ...(edit && { edit: { ...edit, ...(transparent && { transparent, margin: true }) } }),
        ...(mask && { mask }),
        references,
      },
    },
    body: encodeContainer({ metadata: { request: JSON.stringify(request) }, tensors }),
  };
}

function areaIn({ width, height }: { width: number; height: number }, dice: Dice) {
  const [left, top] = [dice(0, width - 1), dice(0, height - 1)];
  return { left, top, width: dice(1, width - left), height: dice(1, height - top) };
}

type Dice = (from: number, to: number) => number;

/** Whole numbers from..to. */
function diceOf(seed: number): Dice {
  let state = seed;
  const next = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return (from, to) => from + Math.floor(next() * (to - from + 1));
}

/** The fields a plan and an edit share. */
export interface Outcome {
  readonly error?: string;
  readonly settled?: object;
  readonly notes?: readonly string[];
}

export function askForPlan(companion: RunningCompanion, plan: PlanRequest): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  return companion.ask('/v1/plans', { method: 'POST', headers, body: Buffer.from(JSON.stringify(plan)) });
}

export async function planOf(companion: RunningCompanion, plan: PlanRequest): Promise<Plan> {
  const answer = await askForPlan(companion, plan);
  if (answer.status !== 200) throw new Error(answer.body.toString());
  return answer.json<Plan>();
}

export async function planned(companion: RunningCompanion, plan: PlanRequest): Promise<Outcome> {
  const answer = await askForPlan(companion, plan);
  if (answer.status !== 200) return { error: answer.json<{ detail: string }>().detail };
  const { task, taskReason, model, adapters, provider, steps, guidance, bounds, workSize, notes } =
    answer.json<Plan>();
  const settled = { task, taskReason, model, adapters, provider, steps, guidance, bounds, workSize };
  return { settled, notes };
}

export async function edited(companion: RunningCompanion, body: Uint8Array): Promise<Outcome> {
  const id = crypto.randomUUID();
  const accepted = await companion.put(body, id);
  if (accepted.status !== 202) return { error: accepted.json<{ detail: string }>().detail };
  const events = await companion.follow(id);
  const last = events.at(-1);
  if (last?.type === 'failed') return { error: last.problem.detail };
  if (last?.type !== 'done') throw new Error(JSON.stringify(last));
  const { task, taskReason, model, adapters, provider, steps, guidance, bounds, workSize } = last.results[0]!;
  const settled = { task, taskReason, model, adapters, provider, steps, guidance, bounds, workSize };
  return { settled, notes: events.flatMap((event) => (event.type === 'note' ? [event.text] : [])) };
}
