import { describe, expect, it } from 'vitest';
import { type InstalledModel, type LayerSizes, resolveEdit } from '../../../server/pipeline/resolve.ts';
import type { EditRequest } from '../../../shared/protocol/request.ts';

const published = ['local-editing', 'portrait', 'subject'];
const fill: InstalledModel = { id: 'fill', family: 'fill', maxSequence: 4096, adapters: published };

const bare = { ...fill, adapters: [] };
const fft: InstalledModel = { id: 'ace-plus-fft', family: 'fft', maxSequence: 4096, adapters: [] };
const one = (name: string) => [{ name, scale: 1 }];

const square = { width: 1024, height: 1024 };
const painted = { left: 300, top: 300, width: 200, height: 100 };
const givenMask = { edit: true, mask: true, references: 0 };
const masked: LayerSizes = { given: givenMask, picture: square, painted, references: [] };

const referenced: LayerSizes = { ...masked, given: { ...givenMask, references: 1 }, references: [square] };

const resolve = (request: Partial<EditRequest>, layers = masked, model = fill) =>
  resolveEdit({ version: 1, instruction: 'a lamp', ...request }, layers, model);

describe('an edit is resolved', () => {
  it('with the origin of every value', () => {
    const { sources } = resolve({ steps: 8, model: 'fill', window: { context: 1 } });
    expect(sources).toEqual({
      model: 'asked',
      task: 'layers',
      prompt: 'asked',
      adapters: 'task',
      steps: 'asked',
      guidance: 'model',
      repaintingScale: 'task',
      keepPixels: 'model',
      padding: 'model',
      greyWeights: 'model',
      maxSequence: 'model',
      context: 'asked',
      seed: 'default',
      variants: 'default',
      preview: 'default',
      firstBlockCache: 'default',
    });
  });

  it('with the task read from the instruction, and the words that decided', () => {
    const { task, sources, taskReason } = resolve({ instruction: 'Make the lamp blue, please' });
    expect({ task, source: sources.task }).toEqual({ task: 'recolor', source: 'words' });
    expect(taskReason).toEqual({ key: 'words-recolor', words: 'Make the lamp blue' });
    expect(resolve({ instruction: 'make it blue', task: 'inpaint' })).toMatchObject({
      task: 'inpaint',
      sources: { task: 'asked' },
    });
  });

  it('as requested, over the defaults of task and model', () => {
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

  it('by an adapter distilled to few steps, with a note', () => {
    const distilled = {
      ...fill,
      adapters: [...published, 'turbo'],
      adapterDefaults: { turbo: { steps: 8, guidance: 30 } },
    };
    const turbo = {
      adapters: [
        { name: 'subject', scale: 1 },
        { name: 'turbo', scale: 1 },
      ],
    };
    const edit = resolve(turbo, masked, distilled);
    expect(edit).toMatchObject({
      steps: 8,
      guidance: 30,
      sources: { steps: 'adapter', guidance: 'adapter' },
    });
    expect(edit.notes).toContain('An adapter sets 8 steps and guidance 30.');
    const asked = resolve({ ...turbo, steps: 20 }, masked, distilled);
    expect(asked).toMatchObject({
      steps: 20,
      guidance: 30,
      sources: { steps: 'asked', guidance: 'adapter' },
    });
    expect(asked.notes).toContain('An adapter sets guidance 30.');
    const without = resolve({ adapters: [{ name: 'turbo', scale: 0 }] }, masked, distilled);
    expect(without).toMatchObject({ steps: resolve({ adapters: [] }).steps, sources: { steps: 'model' } });
  });

  it('by task and model if nothing is requested', () => {
    // What ACE++'s authors send (infer_lora.py, infer_fft.py), and what FluxFillPipeline does by itself.
    expect(resolve({}, masked, bare)).toMatchObject({
      task: 'inpaint',
      repaintingScale: 1,
      steps: 50,
      guidance: 30,
    });
    expect(resolve({})).toMatchObject({
      adapters: one('local-editing'),
      repaintingScale: 1,
      steps: 28,
      guidance: 50,
    });
    expect(resolve({}, masked, fft)).toMatchObject({
      adapters: [],
      keepPixels: true,
      padding: 0,
      steps: 28,
      guidance: 50,
    });
    for (const task of ['control', 'recolor'] as const) {
      const control = task === 'control' ? 'canny' : undefined;
      expect(resolve({ task, control })).toMatchObject({
        adapters: one('local-editing'),
        repaintingScale: 0.5,
      });
      expect(resolve({ task, control }, masked, fft).repaintingScale).toBe(0);
    }
    expect(resolve({ task: 'local-editing' }).repaintingScale).toBe(0.5);
    const pocket = { ...fill, family: 'pocket', maxSequence: 144 } as const;
    expect(resolve({}, masked, pocket)).toMatchObject({ steps: 12, guidance: 4, context: 0.25, padding: -1 });
    expect(resolve({}).firstBlockCache).toBe('off');
  });

  it('as plain FLUX.1-Fill-dev if none of its adapters is ACE++’s', () => {
    expect(resolve({ adapters: [] })).toMatchObject({ steps: 50, guidance: 30 });
    expect(resolve({ adapters: [{ name: 'portrait', scale: 0 }] })).toMatchObject({
      steps: 50,
      guidance: 30,
    });
    expect(resolve({ adapters: one('my-own') })).toMatchObject({ steps: 50, guidance: 30 });
    expect(resolve({ adapters: [...one('my-own'), ...one('portrait')] })).toMatchObject({
      steps: 28,
      guidance: 50,
    });
  });

  it('with the most general installed adapter trained for the task', () => {
    const adapters = (task: EditRequest['task'], model: Partial<InstalledModel> = {}) =>
      resolve({ task }, referenced, { ...fill, ...model }).adapters;
    expect(adapters('local-reference-editing')).toEqual(one('subject'));
    expect(adapters('local-reference-editing', { adapters: ['portrait'] })).toEqual(one('portrait'));
    expect(adapters('local-reference-editing', { adapters: ['my-own'] })).toEqual([]);
    expect(adapters('local-reference-editing', { family: 'fft' })).toEqual([]);
    expect(adapters('recolor')).toEqual(one('local-editing'));
  });

  it('within the device’s memory, whatever is requested', () => {
    const model = { ...fill, fittingSequence: 256 };
    const { maxSequence, sources, layout } = resolve({ window: { maxSequence: 1024 } }, masked, model);
    expect({ maxSequence, source: sources.maxSequence }).toEqual({ maxSequence: 256, source: 'device' });
    expect(layout.tokens).toBeLessThanOrEqual(256);
  });

  it('the same way from the picture or only its size', () => {
    const { window, layer, layout } = resolve({});
    expect(layer).toEqual(painted);
    expect(window.width).toBe(1024);
    expect(layout.target).toEqual({ width: 1024, height: 1024 });
    const enlarged = resolve(
      { task: 'super-resolution', width: 2048 },
      { given: { ...givenMask, mask: false }, picture: { width: 512, height: 256 }, references: [] },
    );
    expect(enlarged.output).toEqual({ left: 0, top: 0, width: 2048, height: 1024 });
  });
});

describe('a note before the edit', () => {
  it('says which model or adapter was trained for the task', () => {
    expect(resolve({ task: 'recolor' }, masked, bare).notes).toEqual([
      '“fill” was not trained for the task "recolor" as it runs here; its adapter “local-editing” was.',
    ]);
    expect(resolve({}, referenced, bare).notes[0]).toContain('its adapters “subject” and “portrait” were');
    expect(resolve({ task: 'super-resolution' }).notes[0]).toContain('“ace-plus-fft” was');
    expect(resolve({ task: 'recolor' }).notes).toEqual([]);
    expect(resolve({ task: 'super-resolution' }, masked, fft).notes).toEqual([]);
  });

  it('shows what is encoded if the model has no reference names', () => {
    const { prompt, notes, sources } = resolve({ instruction: 'Put the {image1} on {image}' }, referenced);
    expect(prompt).toBe('Put the item on {image}');
    expect(sources.prompt).toBe('model');
    expect(notes[0]).toContain('knows no {image1}: it was sent “Put the item on {image}”');
    expect(resolve({ instruction: 'put {image1} here' }, referenced, fft)).toMatchObject({
      prompt: 'put {image1} here',
      notes: [],
    });
  });

  it('names a missing reference', () => {
    const instruction = '{image1} beside {image2} and {image3}';
    expect(resolve({ instruction }, referenced, fft).notes).toEqual([
      'The instruction names {image2}, {image3}, but there is only one reference.',
    ]);
    expect(resolve({ instruction: '{image1}' }, masked, fft).notes[0]).toContain('there are no references');
  });

  it('is not made of what cleaning changes for the fully tuned model', () => {
    expect(resolve({ instruction: ' “A&amp;B”\n  ｌｏｇｏ ' }, masked, fft)).toMatchObject({
      prompt: '"A&B" logo',
      notes: [],
    });
    expect(resolve({ instruction: ' “A” ' }).prompt).toBe(' “A” ');
  });
});
