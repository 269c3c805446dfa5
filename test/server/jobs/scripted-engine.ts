import { writeFile } from 'node:fs/promises';
import { resultFile } from '../../../server/engine/edit-files.ts';
import type { LocalQueueParts } from '../../../server/jobs/local-queue.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { EditResult } from '../../../shared/protocol/result.ts';

export const result = (seed: number, runs = 1): EditResult => ({
  variant: 0,
  bounds: { left: 0, top: 0, width: 1, height: 1 },
  seed,
  steps: 1,
  guidance: 1,
  task: 'inpaint',
  model: 'tiny',
  adapters: [],
  provider: 'cpu',
  ...(runs > 1 && { runs }),
  workSize: { width: 16, height: 16 },
  timings: {},
});

/** An engine whose edits end on command: hundreds of edits in an instant. */
export class ScriptedEngine {
  readonly waiting: (() => void)[] = [];
  /** IDs in starting order. */
  readonly started: string[] = [];
  isQuick = true;
  /** How many more runs will kill the engine. */
  deaths = 0;
  /** Reports a result that doesn't exist. */
  isLying = false;
  /** Its companion was killed: nothing it does has any effect. */
  isDead = false;
  #stop = (): void => {};

  readonly engine: LocalQueueParts['engine'] = {
    run: async ({ id, folder, runs }, onEvent) => {
      this.started.push(id);
      onEvent({ type: 'stage', stage: 'encoding', variant: 0, variants: 1 });
      if (this.deaths > 0) {
        this.deaths--;
        throw new CodedError('engine-died', { detail: 'The engine was ended by SIGSEGV.', remedy: 'Again.' });
      }
      if (!this.isQuick) {
        await new Promise<void>((resolve, reject) => {
          this.waiting.push(resolve);
          this.#stop = () => reject(new CodedError('cancelled', { detail: 'Cancelled.', remedy: 'Again.' }));
        });
      }
      if (this.isDead) await new Promise(() => {});
      if (!this.isLying) await writeFile(resultFile(folder, 0), 'x'.repeat(100));
      return [result(1, runs)];
    },
    cancel: () => this.#stop(),
    stop: async () => this.#stop(),
  };
}
