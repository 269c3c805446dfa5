/** One edit of FLUX.1-Fill-dev's shapes on CUDA, in this process, with a line in the log at each stage and step. */
import { appendFileSync } from 'node:fs';
import type { ModelEntry } from '../../server/catalogue/catalogue.ts';
import type { ComputeDType } from '../../server/graph/precision.ts';
import { runEdit } from '../../server/pipeline/edit.ts';
import { readEditInput } from '../../server/pipeline/input.ts';
import { loadNetworks } from '../../server/runtime/load-networks.ts';
import type { MemoryPlan } from '../../server/runtime/memory-plan.ts';
import type { Container, Tensor } from '../../shared/safetensors.ts';

export interface GPUEdit {
  readonly model: ModelEntry;
  readonly plan: Pick<MemoryPlan, 'inTurn' | 'fittingSequence' | 'tileSide'>;
  /** Pixels of the square that is made; references are as large. */
  readonly side: number;
  readonly references: number;
  readonly type: ComputeDType;
  readonly log: string;
}

async function main({ model, plan, side, references, type, log }: GPUEdit): Promise<void> {
  const mark = (text: string) => appendFileSync(log, `stage ${text}\n`);
  mark('loading');
  const networks = await loadNetworks(model, {
    provider: 'cuda',
    transformer: { type, attention: 'fused' },
    plan,
  });
  // The second finds what the first has left loaded, and nothing that it may take over.
  for (const [edit, grey] of [
    ['first', 255],
    ['second', 128],
  ] as const) {
    const input = await readEditInput(sample(side, references, grey));
    await runEdit(networks, input, {
      emit: (event) => {
        if (event.type === 'stage') mark(`${edit} ${event.stage}`);
        if (event.type === 'step') mark(`${edit} step ${event.step}`);
      },
      checkpoint: async () => {},
      deliver: async () => {},
    });
  }
  mark('end');
  await networks.release();
  mark('released');
}

/** A grey square of which all is made anew, beside grey references. */
function sample(side: number, references: number, grey: number): Container {
  const plane = (value: number, ...channels: number[]): Tensor => {
    const shape = [side, side, ...channels];
    return { dtype: 'U8', shape, data: new Uint8Array(shape.reduce((a, b) => a * b)).fill(value) };
  };
  const names = Array.from({ length: references }, (_, i) => `reference.${i}`);
  const tokens = (1 + references) * (side / 16) ** 2;
  const window = { maxSequence: tokens, context: 0 };
  return {
    metadata: {
      request: JSON.stringify({
        version: 1,
        instruction: `a circle of ${grey}`,
        seed: 7,
        steps: 2,
        preview: true,
        window,
      }),
    },
    tensors: new Map([
      ['edit', plane(grey, 3)],
      ['mask', plane(255)],
      ...names.map((name) => [name, plane(grey, 3)] as const),
    ]),
  };
}

await main(JSON.parse(process.argv[2]!) as GPUEdit);
