import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { requestFile } from '../../../server/engine/edit-files.ts';
import { Engine, type EngineLimits } from '../../../server/engine/engine.ts';
import { candidates, type Provider } from '../../../server/runtime/provider.ts';
import { CodedError } from '../../../shared/errors.ts';
import type { EditEventBody } from '../../../shared/protocol/events.ts';
import { squareEdit, temporaryHome } from '../http/running-companion.ts';

const quick = squareEdit({ side: 64, request: { steps: 2 } });
const slow = squareEdit({ side: 1024, request: { steps: 40, window: { maxSequence: 2048 } } });

let home: string;
beforeAll(async () => {
  home = await temporaryHome();
  // The engine's process inherits it from this one.
  process.env.ACEPP_HOME = home;
});
afterAll(() => rm(home, { recursive: true }));

const engines: Engine[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

function newEngine(provider: Provider | undefined, limits: Partial<EngineLimits> = {}) {
  const log: string[] = [];
  const engine = new Engine({ provider, log: (text) => log.push(text), limits });
  engines.push(engine);
  return { engine, log };
}

async function run(engine: Engine, body: Uint8Array, onEvent: (event: EditEventBody) => void = () => {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  folders.push(folder);
  await writeFile(requestFile(folder), body);
  return { folder, results: await engine.run({ id: randomUUID(), folder, runs: 1 }, onEvent) };
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error) => (error instanceof CodedError ? error.code : String(error)),
  );

describe('the engine', () => {
  it('starts with the first edit, stays warm for the next, and frees its memory after a while', async () => {
    const { engine } = newEngine('cpu', { idle: 0.5 });
    expect(engine.status).toEqual({ state: 'stopped', provider: null, model: null });
    const first = await run(engine, quick);
    expect(engine.status).toMatchObject({ state: 'idle', provider: 'cpu' });
    const { pid } = engine;
    const second = await run(engine, quick);
    expect(engine.pid).toBe(pid);
    expect(first.results[0]!.timings).toHaveProperty('loading');
    expect(second.results[0]!.timings).not.toHaveProperty('loading');
    await expect.poll(() => engine.status.state, { timeout: 5000 }).toBe('stopped');
    await vi.waitFor(() => expect(() => process.kill(pid!, 0)).toThrow('ESRCH'));
    await run(engine, quick);
    expect(engine.pid).not.toBe(pid);
  });

  it('reports the loader’s reason, without a stack trace, if ONNX Runtime cannot be loaded', async () => {
    const foreign = await mkdtemp(path.join(tmpdir(), 'acepp-foreign-'));
    folders.push(foreign);
    await writeFile(path.join(foreign, 'libonnxruntime.so.1'), 'not a library');
    vi.stubEnv('LD_LIBRARY_PATH', foreign);
    const failed = run(newEngine('cpu').engine, quick);
    await expect(failed).rejects.toMatchObject({
      code: 'provider-unavailable',
      detail: `ONNX Runtime cannot be loaded: ${path.join(foreign, 'libonnxruntime.so.1')}: file too short.`,
      remedy: expect.stringContaining('LD_LIBRARY_PATH'),
    });
    vi.unstubAllEnvs();
  });

  it('estimates the time left from the start, once an earlier edit has been timed', async () => {
    await rm(path.join(home, 'paces.json'), { force: true });
    const begun = async () => {
      const { engine } = newEngine('cpu');
      const events: EditEventBody[] = [];
      await run(engine, quick, (event) => events.push(event));
      return events.find((event) => event.type === 'stage' && event.stage === 'encoding');
    };
    expect(await begun()).not.toHaveProperty('secondsLeft');
    expect(await begun()).toHaveProperty('secondsLeft', expect.any(Number));
    await writeFile(path.join(home, 'paces.json'), 'not ours');
    expect(await begun()).not.toHaveProperty('secondsLeft');
  });

  it('has a result on disk before reporting it, and leaves nothing unfinished', async () => {
    const { engine } = newEngine('cpu');
    const { folder, results } = await run(
      engine,
      squareEdit({ side: 64, request: { steps: 1, variants: 2 } }),
    );
    expect(results).toHaveLength(2);
    const files = ['request.safetensors', 'result.0.safetensors', 'result.1.safetensors'];
    expect((await readdir(folder)).sort()).toEqual(files);
  });

  it('is killed if it is silent for too long, and the edit reports that', async () => {
    const { engine } = newEngine('cpu', { silence: 8 });
    const code = codeOf(run(engine, slow, (event) => event.type === 'step' && stopInItsTracks(engine)));
    expect(await code).toBe('engine-hung');
    expect(await codeOf(run(engine, quick))).toBe('no error');
  });

  it('is found to hang in a step after 20 step times, not after half an hour', async () => {
    const { engine } = newEngine('cpu', { leastSilence: 1 });
    let steps = 0;
    const code = codeOf(
      run(engine, slow, (event) => {
        if (event.type === 'step' && ++steps === 3) stopInItsTracks(engine);
      }),
    );
    expect(await code).toBe('engine-hung');
  });

  it('is replaced if it hangs between two edits, without affecting the next one', async () => {
    const { engine, log } = newEngine('cpu', { answer: 1 });
    await run(engine, quick);
    const { pid } = engine;
    stopInItsTracks(engine);
    expect(await codeOf(run(engine, quick))).toBe('no error');
    expect(engine.pid).not.toBe(pid);
    expect(log.join()).toContain('did not answer');
  });

  it('is killed if it hangs while idle, before anyone needs it', async () => {
    const { engine } = newEngine('cpu', { ping: 0.2, answer: 0.5 });
    await run(engine, quick);
    // It stays as long as it answers.
    const { pid } = engine;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(engine.pid).toBe(pid);
    stopInItsTracks(engine);
    await expect.poll(() => engine.status.state, { timeout: 5000 }).toBe('stopped');
    await vi.waitFor(() => expect(() => process.kill(pid!, 0)).toThrow('ESRCH'));
  });

  it('is killed if it ignores a cancel', async () => {
    const { engine } = newEngine('cpu', { cancel: 0.5 });
    const folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
    folders.push(folder);
    await writeFile(requestFile(folder), slow);
    const id = randomUUID();
    const code = codeOf(
      engine.run({ id, folder, runs: 1 }, (event) => {
        if (event.type !== 'step') return;
        stopInItsTracks(engine);
        engine.cancel(id);
      }),
    );
    expect(await code).toBe('cancelled');
    expect(await codeOf(run(engine, quick))).toBe('no error');
  });

  it('runs the next edit after being killed while idle', async () => {
    const { engine } = newEngine('cpu');
    await run(engine, quick);
    process.kill(engine.pid!, 'SIGKILL');
    await expect.poll(() => engine.status.state).toBe('stopped');
    expect(await codeOf(run(engine, quick))).toBe('no error');
  });
});

describe('the provider', () => {
  const all = ['cpu', 'webgpu', 'cuda', 'tensorrt'];

  it('is the first of cuda, dml, webgpu and cpu that is available and has not failed', () => {
    expect(candidates(all, undefined, new Set())).toEqual(['cuda', 'webgpu', 'cpu']);
    expect(candidates(all, undefined, new Set<Provider>(['cuda']))).toEqual(['webgpu', 'cpu']);
  });

  it('is the requested one and no other', () => {
    expect(candidates(all, 'webgpu', new Set<Provider>(['webgpu']))).toEqual(['webgpu']);
    expect(() => candidates(all, 'dml', new Set())).toThrow('this ONNX Runtime has cpu, webgpu, cuda');
  });

  it('is probed for attention first; the CPU computes it in one node', async () => {
    process.env.ORT_DISABLE_TELEMETRY = '1';
    const { probe } = await import('../../../server/runtime/probe.ts');
    await expect(probe('cpu')).resolves.toEqual({
      attention: 'fused',
      transformer: { type: 'float32', attention: 'fused' },
    });
  });

  const missing = ['cuda', 'webgpu'] as const;
  it.each(
    missing,
  )('%s is either used or refused with its reason when asked for, never replaced', async (provider) => {
    const { engine } = newEngine(provider);
    const { results, error } = await run(engine, quick).then(
      ({ results }) => ({ results, error: undefined }),
      (error: CodedError) => ({ results: undefined, error }),
    );
    if (results) return expect(results[0]!.provider).toBe(provider);
    expect(error!.code).toBe('provider-unavailable');
    expect(error!.detail).toContain(`"${provider}"`);
    // ONNX Runtime's own reason is on the engine's stderr alone.
    expect(error!.detail).toMatch(/cannot open shared object|Failed to load|adapter|Vulkan|D3D|Metal/i);
  });

  it('is reported once if it fails, and not retried at each start', async () => {
    const { engine, log } = newEngine(undefined);
    await run(engine, quick);
    const left = () => log.filter((text) => text.includes('is skipped'));
    const first = left();
    const used = engine.status.provider;
    process.kill(engine.pid!, 'SIGKILL');
    await expect.poll(() => engine.status.state).toBe('stopped');
    const { results } = await run(engine, quick);
    expect(results[0]!.provider).toBe(used);
    expect(left()).toEqual(first);
  });
});

/** Like a hanging driver: the process exists but is silent. */
function stopInItsTracks(engine: Engine): void {
  process.kill(engine.pid!, 'SIGSTOP');
}
