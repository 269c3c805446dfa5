import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Client, createClient } from '../../plugins/panel/client/client.ts';
import type { Capture, Host, Placement, Reference } from '../../plugins/panel/host.ts';
import { createSession } from '../../plugins/panel/models/session.ts';
import { createSettings } from '../../plugins/panel/models/settings.ts';
import { CodedError } from '../../shared/errors.ts';
import type { EditEventBody } from '../../shared/protocol/events.ts';
import { parseEditRequest } from '../../shared/protocol/request.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import { ScriptedCompanion, token } from './companion.ts';

const picture = { width: 4, height: 2, data: new Uint8Array(32).fill(9) };
const reference = (id: string): Reference => ({ id, name: id, thumbnail: 'data:,', picture });
const step = (n: number): EditEventBody => ({
  type: 'step',
  variant: 0,
  variants: 2,
  step: n,
  steps: 4,
  secondsLeft: 4 - n,
  preview: 'AAAA',
  previewBounds: { left: 1, top: 1, width: 2, height: 1 },
});
const result = (variant: number): EditResult => ({
  variant,
  bounds: { left: 3, top: 4, width: 2, height: 1 },
  seed: 7 + variant,
  steps: 4,
  guidance: 50,
  task: 'inpaint',
  model: 'pocket',
  adapters: [],
  provider: 'cpu',
  workSize: { width: 16, height: 16 },
  timings: {},
});

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((given) => {
    resolve = given;
  });
  return { promise, resolve };
}

describe('an edit session', () => {
  let companion: ScriptedCompanion;
  let placed: Placement[];

  beforeEach(async () => {
    companion = new ScriptedCompanion();
    await companion.listen();
    placed = [];
  });
  afterEach(() => companion.close());

  function open(parts: Partial<Host> = {}, wrap = (client: Client): Client => client) {
    const kept = new Map<string, string>();
    const host: Host = {
      capabilities: { results: 'offered', previews: 'picture', keepsDocument: false },
      companions: [companion.url],
      storage: {
        get: async (key) => kept.get(key),
        set: async (key, value) => void kept.set(key, value),
      },
      capture: async () => ({
        edit: picture,
        mask: new Uint8Array(8).fill(255),
        origin: { left: 100, top: 50 },
      }),
      place: async (variants, chosen) => void placed.push(variants[chosen]!),
      pickReferences: async () => [],
      ...parts,
    };
    const settings = createSettings(host);
    settings.write('  a red circle ');
    const client = wrap(createClient(companion.url, token));
    let count = 0;
    const session = createSession({ host, settings, client: () => client, newId: () => `edit-${count++}` });
    return { settings, session, host };
  }
  type Opened = ReturnType<typeof open>;
  const reaches = (session: Opened['session'], kind: string) =>
    vi.waitFor(() => expect(session.state.value.kind).toBe(kind), { timeout: 10_000, interval: 10 });

  /** A session whose edit has completed its first step. */
  async function openRunning(): Promise<Opened> {
    const opened = open();
    void opened.session.run();
    companion.tell(step(1));
    await reaches(opened.session, 'running');
    return opened;
  }

  test('sends the capture as a request that the companion’s own parser accepts', async () => {
    const { settings, session } = open();
    settings.task.value = 'control:depth';
    settings.advanced.value = { seed: 5, steps: 4, guidance: undefined, variants: 2 };
    settings.addReferences([reference('one'), reference('two')]);
    settings.moveReference('two', -1);
    void session.run();
    await vi.waitFor(() => expect(companion.edits.size).toBe(1));
    const { metadata, tensors } = companion.edits.get('edit-0')!;
    expect(parseEditRequest(metadata.request!)).toEqual({
      version: 1,
      task: 'control',
      control: 'depth',
      instruction: 'a red circle',
      seed: 5,
      steps: 4,
      variants: 2,
      preview: true,
    });
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ['edit', [2, 4, 4]],
      ['mask', [2, 4]],
      ['reference.0', [2, 4, 4]],
      ['reference.1', [2, 4, 4]],
    ]);
    await session.cancel();
  });

  test('shows the steps, and the preview at its position in the document', async () => {
    const { session } = open();
    void session.run();
    companion.tell({ type: 'stage', stage: 'encoding', variant: 0, variants: 1, secondsLeft: 9 });
    await reaches(session, 'running');
    expect(session.state.value).toMatchObject({ stage: 'encoding', secondsLeft: 9 });
    companion.tell({ type: 'note', text: 'slow' }, step(2));
    await vi.waitFor(() => expect(session.state.value).toMatchObject({ stage: 'denoising' }));
    expect(session.state.value).toMatchObject({
      step: 2,
      steps: 4,
      secondsLeft: 2,
      preview: { url: 'data:image/jpeg;base64,AAAA', bounds: { left: 101, top: 51, width: 2, height: 1 } },
    });
    expect(session.note.value).toBe('slow');
    await session.cancel();
  });

  test('keeps the chosen variant at its position in the document', async () => {
    const { session } = open();
    void session.run();
    companion.tell(step(4), { type: 'done', results: [result(0), result(1)] });
    await reaches(session, 'done');
    session.choose(1);
    await session.keep();
    expect(session.state.value.kind).toBe('idle');
    expect(placed).toHaveLength(1);
    expect(placed[0]).toMatchObject({
      name: 'a red circle',
      bounds: { left: 103, top: 54, width: 2, height: 1 },
      recipe: { seed: 8 },
    });
    expect(placed[0]!.layer.data).toEqual(new Uint8Array(8).fill(2));
  });

  test('places nothing when discarded', async () => {
    const { session } = open();
    void session.run();
    companion.tell({ type: 'done', results: [result(0)] });
    await reaches(session, 'done');
    session.discard();
    expect(session.state.value.kind).toBe('idle');
    expect(placed).toEqual([]);
  });

  test('leaves a note for a result placed by other means', async () => {
    const { session } = open();
    void session.run();
    companion.tell({ type: 'done', results: [result(0)] });
    await reaches(session, 'done');
    session.finish('Placed beside it.');
    expect(session.state.value.kind).toBe('idle');
    expect(session.note.value).toBe('Placed beside it.');
    expect(placed).toEqual([]);
  });

  test('shows the companion’s reason when it fails, and the next one can run', async () => {
    const { session } = open();
    void session.run();
    const problem = new CodedError('out-of-memory', { detail: 'Too big.', remedy: 'Make it smaller.' });
    companion.tell({ type: 'failed', problem: problem.toProblem() });
    await reaches(session, 'failed');
    expect(session.state.value).toMatchObject({
      error: { code: 'out-of-memory', remedy: 'Make it smaller.' },
    });
    void session.run();
    await vi.waitFor(() => expect(companion.edits.size).toBe(2));
    await session.cancel();
  });

  test('notifies the companion when cancelled, and ignores later events', async () => {
    const { session } = await openRunning();
    await session.cancel();
    companion.tell({ type: 'done', results: [result(0)] });
    expect(companion.cancelled).toEqual(['edit-0']);
    expect(session.state.value.kind).toBe('cancelled');
  });

  test('that arrives after being cancelled is cancelled in the companion, and shows nothing', async () => {
    const arrival = deferred<void>();
    const sent = vi.fn();
    const { session } = open({}, (client) => ({
      ...client,
      put: (id, body) => {
        sent();
        return arrival.promise.then(() => client.put(id, body));
      },
    }));
    void session.run();
    await vi.waitFor(() => expect(sent).toHaveBeenCalled());
    await session.cancel();
    expect(companion.edits.size).toBe(0);
    arrival.resolve();
    await vi.waitFor(() => expect(companion.cancelled).toEqual(['edit-0']));
    expect(session.state.value.kind).toBe('cancelled');
  });

  test('that was cancelled does not affect the next one', async () => {
    const first = deferred<Capture>();
    const captures = [first.promise, new Promise<Capture>(() => {})];
    const { session } = open({ capture: () => captures.shift()! });
    void session.run();
    await session.cancel();
    void session.run();
    first.resolve({ edit: picture, origin: { left: 0, top: 0 }, note: 'of the first' });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(session.state.value.kind).toBe('capturing');
    expect(session.note.value).toBe('');
    expect(companion.edits.size).toBe(0);
  });

  test('continues after a short loss of the companion', async () => {
    const { session } = await openRunning();
    await companion.close();
    await vi.waitFor(() => expect(session.reconnecting.value).toBe(true));
    companion.tell({ type: 'done', results: [result(0)] });
    await companion.listen();
    await reaches(session, 'done');
    expect(session.reconnecting.value).toBe(false);
  });

  test('gives up reconnecting when it is cancelled', async () => {
    const { session } = await openRunning();
    await companion.close();
    await vi.waitFor(() => expect(session.reconnecting.value).toBe(true));
    await session.cancel();
    expect(session.state.value.kind).toBe('cancelled');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(session.reconnecting.value).toBe(false);
    await companion.listen();
  });

  test('is fetched once the companion is back, even after retries ran out', async () => {
    const { session } = await openRunning();
    await companion.close();
    await vi.waitFor(() => expect(session.state.value.kind).toBe('failed'), { timeout: 12_000 });
    expect(session.state.value).toMatchObject({ error: { code: 'companion-gone' } });
    companion.tell({ type: 'done', results: [result(0)] });
    await companion.listen();
    await session.resume();
    expect(session.state.value.kind).toBe('done');
  }, 20_000);

  test('is resent unchanged to a companion that does not know it', async () => {
    const { session } = await openRunning();
    const { metadata } = companion.edits.get('edit-0')!;
    companion.edits.clear();
    companion.tell(step(2));
    await vi.waitFor(() => expect([...companion.edits.keys()]).toEqual(['edit-1']));
    expect(companion.edits.get('edit-1')!.metadata).toEqual(metadata);
    companion.tell({ type: 'done', results: [result(0)] });
    await reaches(session, 'done');
    expect(session.note.value).toContain('was started again');
  });

  test('survives an unrelated error, running or done', async () => {
    const { session } = await openRunning();
    const error = new CodedError('too-large', { detail: 'Too many.', remedy: 'Remove one.' });
    session.fail(error);
    expect(session.state.value.kind).toBe('running');
    expect(session.note.value).toBe('Too many. Remove one.');
    companion.tell({ type: 'done', results: [result(0), result(1)] });
    await reaches(session, 'done');
    session.fail(error);
    expect(session.state.value).toMatchObject({ kind: 'done', error: { code: 'too-large' } });
    await session.keep();
    expect(placed).toHaveLength(1);
  });

  test('never reaches the companion if its capture is rejected', async () => {
    const { session } = open({
      capture: async () => {
        throw new CodedError('request-invalid', { detail: 'No picture is open.', remedy: 'Open one.' });
      },
    });
    await session.run();
    expect(session.state.value).toMatchObject({ kind: 'failed', error: { detail: 'No picture is open.' } });
    expect(companion.edits.size).toBe(0);
  });

  test('takes nine references, and rejects the tenth with an explanation', () => {
    const { settings } = open();
    const ten = Array.from({ length: 10 }, (_, i) => reference(String(i)));
    expect(() => settings.addReferences(ten)).toThrow(/9 references are the most/);
    expect(settings.references.value).toHaveLength(9);
    settings.removeReference('0');
    expect(settings.room.value).toBe(1);
  });

  test('restores the instruction and the model after a panel restart', async () => {
    const { host, settings } = open();
    settings.adjust({ ...settings.advanced.value, model: 'flux-fill' });
    const later = createSettings(host);
    await later.restore();
    expect(later.instruction.value).toBe('  a red circle ');
    expect(later.toRequest()).toMatchObject({ model: 'flux-fill' });
  });

  test('leaves the model and its adapter to the companion until chosen', () => {
    const { settings } = open();
    const asked = () => {
      const { model, adapters } = parseEditRequest(JSON.stringify(settings.toRequest()));
      return { model, adapters };
    };
    expect(asked()).toEqual({});
    settings.adjust({ ...settings.advanced.value, model: 'flux-fill' });
    settings.adjust({ ...settings.advanced.value, adapter: 'portrait' });
    expect(asked()).toEqual({ model: 'flux-fill', adapters: [{ name: 'portrait', scale: 1 }] });
    const recipe = settings.toRequest();
    settings.adjust({ ...settings.advanced.value, adapter: 'none' });
    expect(asked()).toEqual({ model: 'flux-fill', adapters: [] });
    settings.adjust({ ...settings.advanced.value, model: undefined });
    expect(asked()).toEqual({});
    settings.use(recipe);
    expect(asked()).toEqual({ model: 'flux-fill', adapters: [{ name: 'portrait', scale: 1 }] });
  });
});
