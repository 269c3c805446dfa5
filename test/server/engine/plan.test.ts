import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../server/engine/engine.ts';
import type { PlanRequest } from '../../../shared/protocol/plan.ts';
import { providers } from '../../../shared/protocol/provider.ts';
import { RunningCompanion, squareEdit } from '../http/running-companion.ts';
import { askForPlan, edited, planned, planOf, randomEdit } from './random-edits.ts';

let companion: RunningCompanion;

beforeAll(async () => {
  companion = await RunningCompanion.start();
});
afterAll(() => companion?.remove());

describe('a plan', () => {
  // `npm run measure:plans` has 200.
  it('reports the edit’s task, size, model, adapters and notes, or why it cannot run', async () => {
    let ran = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const { plan, body } = randomEdit(seed);
      const before = await planned(companion, plan);
      const after = await edited(companion, body);
      expect(before, `edit ${seed}: ${JSON.stringify(plan)}`).toEqual(after);
      if (after.settled) ran++;
    }
    expect(ran).toBeGreaterThan(4);
  });

  const square = (request: object): PlanRequest => ({
    request: {
      version: 1,
      instruction: 'a red circle',
      model: 'tiny',
      window: { maxSequence: 64 },
      ...request,
    },
    layers: {
      edit: { width: 64, height: 64 },
      mask: { left: 16, top: 16, width: 32, height: 32 },
      references: [],
    },
  });

  it('knows what must be loaded and, after an edit, how long it takes', async () => {
    const fresh = await RunningCompanion.start();
    try {
      const before = await planOf(fresh, square({}));
      expect(before).toMatchObject({ seconds: null, loading: { seconds: null } });
      expect(before.loading!.bytes).toBeGreaterThan(1000);
      // Planning starts no engine, and loads no runtime into the companion.
      expect(fresh.enginePid()).toBeUndefined();
      expect(readFileSync(`/proc/${fresh.child.pid}/maps`, 'utf8')).not.toContain('onnxruntime');
      await edited(fresh, squareEdit({ side: 64, request: { steps: 2 } }));
      const after = await planOf(fresh, square({}));
      expect(after.loading).toBeNull();
      expect(after.seconds).toBeGreaterThan(0);
      // Another model must be loaded, although an engine is running.
      expect((await planOf(fresh, square({ model: 'pocket' }))).loading).not.toBeNull();
    } finally {
      await fresh.remove();
    }
  });

  it('says what limits the layer below the document’s resolution', async () => {
    const large = (window: object, references: PlanRequest['layers']['references'] = []): PlanRequest => ({
      request: { version: 1, instruction: 'a lamp', model: 'pocket', window },
      layers: {
        edit: { width: 4000, height: 3000 },
        mask: { left: 100, top: 100, width: 2000, height: 1500 },
        references,
      },
    });
    expect(await planOf(companion, square({}))).toMatchObject({ limitedBy: null });
    const alone = await planOf(companion, large({}));
    expect(alone.limitedBy).toBe('model');
    expect(alone.resolution).toBeCloseTo(alone.workSize.width / 2500, 1);
    expect((await planOf(companion, large({ maxSequence: 64 }))).limitedBy).toBe('request');
    const beside = await planOf(companion, large({}, [{ width: 900, height: 900 }]));
    expect(beside.limitedBy).toBe('references');
    expect(beside.resolution).toBeLessThan(alone.resolution);
  });

  it('knows the provider without an edit, and without a model', async () => {
    const device = await new Engine({ log: () => {} }).device();
    expect(providers).toContain(device.provider);
    const { provider, dtype } = await new Engine({ provider: 'cpu', log: () => {} }).device();
    expect({ provider, dtype }).toEqual({ provider: 'cpu', dtype: 'float32' });
    // This one doesn't exist on Linux.
    const other = new Engine({ provider: 'dml', log: () => {} });
    if (process.platform !== 'win32') {
      await expect(other.device()).rejects.toMatchObject({ code: 'provider-unavailable' });
    }
  });

  it('is rejected for the same reasons as the edit', async () => {
    const refused = async (request: object) =>
      (await askForPlan(companion, square(request))).json<{ code: string }>().code;
    expect(await refused({ model: 'no-such-model' })).toBe('model-unknown');
    expect(await refused({ adapters: [{ name: 'nobody', scale: 1 }] })).toBe('adapter-unknown');
    expect(await refused({ task: 'text-to-image' })).toBe('task-needs');
    expect(await refused({ steps: 0 })).toBe('request-invalid');
  });

  it('notes a reference that is named but missing', async () => {
    const { notes } = await planOf(companion, square({ instruction: 'put {image2} here' }));
    expect(notes).toContain('The instruction names {image2}, but there are no references.');
  });
});
