import { describe, expect, it } from 'vitest';
import { type InstalledModel, type LayerSizes, resolveEdit } from '../../../server/pipeline/resolve.ts';
import type { EditRequest } from '../../../shared/protocol/request.ts';

const published = ['local-editing', 'portrait', 'subject'];
const fill: InstalledModel = { id: 'fill', family: 'fill', maxSequence: 4096, adapters: published };

const square = { width: 1024, height: 1024 };
const painted = { left: 300, top: 300, width: 200, height: 100 };
const masked: LayerSizes = { picture: square, painted, references: [] };

const resolve = (request: Partial<EditRequest>, layers = masked, model = fill) =>
  resolveEdit({ version: 1, instruction: 'a lamp', ...request }, layers, model);

describe('an edit is settled', () => {
  it('with the source of every value', () => {
    const { sources } = resolve({ steps: 8, model: 'fill', window: { context: 1 } });
    expect(sources).toEqual({
      model: 'asked',
      task: 'layers',
      instruction: 'asked',
      adapters: 'task',
      steps: 'asked',
      guidance: 'model',
      repaintingScale: 'task',
      keepPixels: 'model',
      maxSequence: 'model',
      context: 'asked',
      seed: 'default',
      variants: 'default',
      preview: 'default',
      firstBlockCache: 'default',
    });
  });

  it('as it was asked for, above what task and model want', () => {
    const request: Partial<EditRequest> = {
      task: 'local-editing',
      adapters: [],
      steps: 3,
      guidance: 0,
      repaintingScale: 0.25,
      keepPixels: true,
      seed: 0,
      variants: 2,
      preview: true,
      firstBlockCache: 0,
      window: { maxSequence: 1024, context: 0 },
    };
    const { window, ...values } = request;
    expect(resolve(request)).toMatchObject({ ...values, ...window });
  });

  it('by task and model where nothing is asked for', () => {
    expect(resolve({})).toMatchObject({ task: 'inpaint', repaintingScale: 1, steps: 28, guidance: 50 });
    expect(resolve({ task: 'local-editing' }).repaintingScale).toBe(0.5);
    const pocket = { ...fill, family: 'pocket', maxSequence: 144 } as const;
    expect(resolve({}, masked, pocket)).toMatchObject({ steps: 12, guidance: 4, context: 0.25 });
    expect(resolve({}).firstBlockCache).toBe('off');
  });

  it('with the most general of the installed adapters that were trained for the task', () => {
    const referenced = { ...masked, references: [square] };
    const adapters = (task: EditRequest['task'], model: Partial<InstalledModel> = {}) =>
      resolve({ task }, referenced, { ...fill, ...model }).adapters;
    const one = (name: string) => [{ name, scale: 1 }];
    expect(adapters('local-reference-editing')).toEqual(one('subject'));
    expect(adapters('local-reference-editing', { adapters: ['portrait'] })).toEqual(one('portrait'));
    expect(adapters('local-reference-editing', { adapters: ['my-own'] })).toEqual([]);
    expect(adapters('local-reference-editing', { family: 'fft' })).toEqual([]);
    expect(adapters('recolor')).toEqual(one('local-editing'));
  });

  it('within the device’s memory, whatever is asked for', () => {
    const model = { ...fill, fittingSequence: 256 };
    const { maxSequence, sources, layout } = resolve({ window: { maxSequence: 1024 } }, masked, model);
    expect({ maxSequence, source: sources.maxSequence }).toEqual({ maxSequence: 256, source: 'device' });
    expect(layout.tokens).toBeLessThanOrEqual(256);
  });

  it('in the same place whether the picture is there or only its size', () => {
    const { window, layer, layout } = resolve({});
    expect(layer).toEqual(painted);
    expect(window.width).toBe(1024);
    expect(layout.target).toEqual({ width: 1024, height: 1024 });
    const enlarged = resolve(
      { task: 'super-resolution', width: 2048 },
      { picture: { width: 512, height: 256 }, references: [] },
    );
    expect(enlarged.output).toEqual({ left: 0, top: 0, width: 2048, height: 1024 });
  });
});
