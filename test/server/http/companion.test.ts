import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePicture } from '../../../server/pictures/decode.ts';
import { wrapTIFF } from '../../../server/pictures/tiff.ts';
import type { History, Poll } from '../../../shared/protocol/answers.ts';
import type { EditEvent } from '../../../shared/protocol/events.ts';
import { decodeContainer, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import { adobeRGB } from '../pictures/profiles.ts';
import { freePort, pixels, RunningCompanion, squareEdit } from './running-companion.ts';

const quick = squareEdit({ side: 64, request: { steps: 2 } });
/** Steps slow enough for a request to arrive between two of them. */
const slow = squareEdit({ side: 1024, request: { steps: 20, window: { maxSequence: 2048 } } });

/** Long enough to be interrupted, short enough to be rerun. */
const long = squareEdit({ side: 256, request: { steps: 60, window: { maxSequence: 256 } } });

const isStep = (step: number) => (event: EditEvent) => event.type === 'step' && event.step >= step;
const steps = (events: readonly EditEvent[]) => events.filter((event) => event.type === 'step');

describe('a running companion', () => {
  let companion: RunningCompanion;
  beforeAll(async () => {
    companion = await RunningCompanion.start();
  });
  afterAll(() => companion.remove());

  it('prints one address, with the token from a file that only this user can read', async () => {
    expect(companion.stdout().trim().split('\n')).toHaveLength(1);
    const file = path.join(companion.home, 'token');
    expect((await readFile(file, 'utf8')).trim()).toBe(companion.token);
    expect(companion.token.length).toBeGreaterThan(40);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('reports its health without a token, and nothing private', async () => {
    const health = await companion.ask('/v1/health', { headers: { authorization: '' } });
    expect(health.json()).toEqual({
      name: 'ACE++ Layers',
      version: '0.1.0',
      protocol: 1,
      engine: { state: expect.any(String), provider: null, model: null },
    });
  });

  it('also answers over IPv6', async () => {
    const answer = await fetch(`http://[::1]:${companion.url.port}/v1/health`).catch((error: Error) => error);
    if (answer instanceof Error) return expect(String(answer.cause)).toMatch(/EADDRNOTAVAIL|ENETUNREACH/);
    expect(answer.status).toBe(200);
  });

  it('turns a request into a layer, and reports each step', async () => {
    const id = randomUUID();
    const accepted = await companion.put(quick, id);
    expect(accepted.status).toBe(202);
    expect(accepted.json()).toEqual({ id, state: 'queued', position: 0 });
    const events = await companion.follow(id);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
    expect(events[0]).toMatchObject({ type: 'queued', position: 0 });
    expect(steps(events)).toMatchObject([
      { step: 1, steps: 2 },
      { step: 2, steps: 2 },
    ]);
    const last = events.at(-1)!;
    if (last.type !== 'done') throw new Error(JSON.stringify(last));
    expect(last.results).toMatchObject([
      { seed: 7, steps: 2, task: 'inpaint', bounds: { left: 16, top: 16, width: 32, height: 32 } },
    ]);

    const result = await companion.ask(`/v1/edits/${id}/result?variant=0`);
    const { metadata, tensors } = decodeContainer(result.body);
    expect(JSON.parse(metadata.bounds!)).toEqual({ left: 16, top: 16, width: 32, height: 32 });
    expect(metadata.seed).toBe('7');
    const layer = tensors.get('layer')!;
    expect([layer.dtype, layer.shape]).toEqual(['U8', [32, 32, 4]]);

    const png = await companion.ask(`/v1/edits/${id}/result`, { headers: { accept: 'image/png' } });
    expect(png.headers['content-type']).toBe('image/png');
    expect(JSON.parse(String(png.headers['x-acepp-bounds']))).toEqual({
      left: 16,
      top: 16,
      width: 32,
      height: 32,
    });
    expect(png.headers['x-acepp-seed']).toBe('7');
    expect((await sharp(png.body).raw().toBuffer()).equals(layer.data)).toBe(true);
  });

  it('runs nothing twice: the same ID and body get the same answer', async () => {
    const id = randomUUID();
    const [first, second] = await Promise.all([companion.put(quick, id), companion.put(quick, id)]);
    await companion.follow(id);
    const third = await companion.put(quick, id);
    for (const answer of [second, third]) {
      expect(answer.status).toBe(202);
      expect(answer.json()).toEqual(first.json());
    }
    expect(steps(await companion.follow(id))).toHaveLength(2);
    expect(await readdir(path.join(companion.home, 'edits/.incoming'))).toEqual([]);
  });

  it('rejects another body under the same ID', async () => {
    const id = randomUUID();
    await companion.put(quick, id);
    const other = await companion.put(squareEdit({ side: 64, request: { steps: 3 } }), id);
    expect([other.status, other.json().code]).toEqual([409, 'edit-conflict']);
    await companion.follow(id);
  });

  it('keeps a picture’s 16 bits in the layer and its PNG, even at an unaligned offset', async () => {
    const data = new Uint8Array(64 * 64 * 3 * 2).map((_, i) => (i * 13) % 256);
    const mask = pixels([64, 64], (i) => (i < 2048 ? 255 : 0));
    const tensors = new Map<string, Tensor>([
      ['mask', mask],
      ['edit', { dtype: 'U16', shape: [64, 64, 3], data }],
    ]);
    const request = JSON.stringify({ version: 1, instruction: 'a red circle', steps: 1, model: 'tiny' });
    // A header of odd length leaves all data unaligned.
    const aligned = Buffer.from(encodeContainer({ metadata: { request }, tensors }));
    const header = aligned.subarray(8, 8 + Number(aligned.readBigUInt64LE(0)));
    const odd = Buffer.concat([
      Buffer.alloc(8),
      header,
      Buffer.from(' '),
      aligned.subarray(8 + header.length),
    ]);
    odd.writeBigUInt64LE(BigInt(header.length + 1), 0);
    const id = await companion.send(odd);
    expect((await companion.follow(id)).at(-1)).toMatchObject({ type: 'done' });
    const png = await companion.ask(`/v1/edits/${id}/result`, { headers: { accept: 'image/png' } });
    expect(await sharp(png.body).metadata()).toMatchObject({ depth: 'ushort', channels: 4, height: 32 });
  });

  it('returns the finished picture in the document’s own format, colour space and depth, or in others', async () => {
    const side = 64;
    const samples = new Uint16Array(side * side * 3).map((_, i) => (i * 7919) % 65536);
    const wrapped = wrapTIFF({
      width: side,
      height: side,
      channels: 3,
      data: samples,
      space: 'rgb',
      icc: adobeRGB(),
    });
    const file = await sharp(wrapped, { ignoreIcc: true })
      .toColourspace('rgb16')
      .keepIccProfile()
      .png()
      .toBuffer();
    const square = decodeContainer(squareEdit({ side, request: { steps: 1 } }));
    const tensors = new Map<string, Tensor>([
      ['edit.png', { dtype: 'U8', shape: [file.length], data: file }],
      ['mask', square.tensors.get('mask')!],
    ]);
    const id = await companion.send(encodeContainer({ metadata: square.metadata, tensors }));
    expect((await companion.follow(id)).at(-1)).toMatchObject({ type: 'done' });

    const own = await companion.ask(`/v1/edits/${id}/result?as=picture`);
    expect([own.status, own.headers['content-type']]).toEqual([200, 'image/png']);
    const picture = await decodePicture(own.body, { what: 'picture' });
    expect(Buffer.from(picture.icc!).equals(Buffer.from(adobeRGB()))).toBe(true);
    const isInside = (x: number) => x >= side / 4 && x < (side * 3) / 4;
    let changed = 0;
    samples.forEach((value, i) => {
      const [x, y] = [Math.floor(i / 3) % side, Math.floor(i / 3 / side)];
      if (!isInside(x) || !isInside(y)) expect(picture.samples.data[i]).toBe(value);
      else if (picture.samples.data[i] !== value) changed++;
    });
    expect(changed).toBeGreaterThan(1000);

    const psd = await companion.ask(`/v1/edits/${id}/result?as=picture&format=psd`);
    expect(psd.headers['content-type']).toBe('image/vnd.adobe.photoshop');
    const below = await decodePicture(psd.body, { what: 'picture', layer: 'Picture' });
    expect([...below.samples.data.filter((_, i) => i % 4 < 3)]).toEqual([...samples]);
    const jpeg = await companion.ask(`/v1/edits/${id}/result?as=layer&format=jpg`);
    expect(decodeURIComponent(String(jpeg.headers['x-acepp-notes']))).toContain('8 bits');
    expect((await companion.ask(`/v1/edits/${id}/result?as=poster`)).json().code).toBe('request-invalid');
  });

  it.each([
    ['png', Buffer.alloc(0), '0 bytes'],
    ['png', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1', 'latin1'), 'HEIC'],
    ['jpg', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'PNG'],
  ])('rejects a file that is not a %s on upload', async (encoding, data, name) => {
    const { metadata } = decodeContainer(quick);
    const tensors = new Map<string, Tensor>([
      [`edit.${encoding}`, { dtype: 'U8', shape: [data.length], data }],
    ]);
    const answer = await companion.put(encodeContainer({ metadata, tensors }), randomUUID());
    expect([answer.status, answer.json().code]).toEqual([400, 'image-invalid']);
    expect(answer.json().detail).toContain(name);
  });

  it('gives each of several variants its own seed and layer', async () => {
    const id = await companion.send(squareEdit({ side: 64, request: { steps: 1, variants: 2 } }));
    await companion.follow(id);
    const layers = await Promise.all(
      [0, 1].map((variant) => companion.ask(`/v1/edits/${id}/result?variant=${variant}`)),
    );
    const [first, second] = layers.map(({ body }) => decodeContainer(body));
    expect([first!.metadata.seed, second!.metadata.seed]).toEqual(['7', '8']);
    const bytes = [first, second].map((result) => Buffer.from(result!.tensors.get('layer')!.data));
    expect(bytes[0]!.equals(bytes[1]!)).toBe(false);
    const third = await companion.ask(`/v1/edits/${id}/result?variant=2`);
    expect([third.status, third.json().code]).toEqual([404, 'not-found']);
  });

  it('stops an edit cancelled in step 3 of 20 within one step, and runs the next', async () => {
    const id = await companion.send(slow);
    const before = await companion.follow(id, isStep(2));
    const cancelled = await companion.ask(`/v1/edits/${id}`, { method: 'DELETE' });
    const told = Date.now();
    expect(cancelled.status).toBe(202);
    const events = await companion.follow(id);
    expect(events.at(-1)).toMatchObject({ type: 'cancelled' });
    expect(steps(events).length - steps(before).length).toBeLessThanOrEqual(2);
    const later = steps(events).filter(({ time }) => Date.parse(time) > told);
    expect(later.length).toBeLessThanOrEqual(1);
    const poll = (await companion.ask(`/v1/edits/${id}`)).json<Poll>();
    expect(poll.state).toBe('cancelled');
    const result = await companion.ask(`/v1/edits/${id}/result`);
    expect([result.status, result.json().code]).toEqual([409, 'edit-not-done']);
    expect((await companion.follow(await companion.send(quick))).at(-1)).toMatchObject({ type: 'done' });
  });

  it('reports the queue position of waiting edits, and can cancel them', async () => {
    const first = await companion.send(slow);
    await companion.follow(first, isStep(1));
    const second = randomUUID();
    const third = randomUUID();
    expect((await companion.put(quick, second)).json()).toMatchObject({ position: 1 });
    expect((await companion.put(quick, third)).json()).toMatchObject({ position: 2 });
    const gone = await companion.ask(`/v1/edits/${second}`, { method: 'DELETE' });
    expect(gone.json()).toEqual({ id: second, state: 'cancelled' });
    const moved = (await companion.ask(`/v1/edits/${third}?after=1&wait=5`)).json<Poll>();
    expect(moved.events).toMatchObject([{ type: 'queued', position: 1 }]);
    await companion.ask(`/v1/edits/${first}`, { method: 'DELETE' });
    expect((await companion.follow(third)).at(-1)).toMatchObject({ type: 'done' });
  });

  it('reruns an edit whose engine was killed, and gives up after the third time', async () => {
    const id = await companion.send(slow);
    let engine: number | undefined;
    for (let kills = 0; kills < 3; kills++) {
      const earlier = engine;
      await companion.follow(id, (event) => {
        engine = companion.enginePid();
        return event.type === 'step' && engine !== undefined && engine !== earlier;
      });
      process.kill(engine!, 'SIGKILL');
    }
    const events = await companion.follow(id);
    expect(events.filter((event) => event.type === 'note' && event.text.includes('died'))).toHaveLength(2);
    expect(events.at(-1)).toMatchObject({
      type: 'failed',
      problem: { code: 'edit-crashed', status: 500, detail: expect.stringContaining('SIGKILL') },
    });
    expect((await companion.follow(await companion.send(quick))).at(-1)).toMatchObject({ type: 'done' });
    expect(companion.enginePid()).not.toBe(engine);
  });

  it('explains what is wrong with a picture that only the engine decodes', async () => {
    const body = encodeContainer({
      metadata: { request: JSON.stringify({ version: 1, instruction: 'a red circle' }) },
      tensors: new Map([
        ['edit.png', pixels([100], (i) => (i < 8 ? Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')[i]! : 1))],
      ]),
    });
    const events = await companion.follow(await companion.send(body));
    expect(events.at(-1)).toMatchObject({ type: 'failed', problem: { code: 'image-invalid' } });
  });

  it('rejects an unknown model and an unknown adapter', async () => {
    const failure = async (request: object) => {
      const events = await companion.follow(await companion.send(squareEdit({ side: 64, request })));
      const last = events.at(-1)!;
      return last.type === 'failed' ? last.problem.code : last.type;
    };
    expect(await failure({ model: 'nothing-like-it' })).toBe('model-unknown');
    expect(await failure({ adapters: [{ name: 'nothing-like-it', scale: 1 }] })).toBe('adapter-unknown');
  });

  it('holds a poll until there is an event, but no longer than asked', async () => {
    const id = await companion.send(quick);
    const { length } = await companion.follow(id);
    const over = (await companion.ask(`/v1/edits/${id}?after=${length}&wait=20`)).json<Poll>();
    expect(over).toMatchObject({ state: 'done', events: [{ type: 'done', seq: length }], next: length });
    const running = await companion.send(slow);
    const seen = await companion.follow(running, isStep(1));
    const started = performance.now();
    const waited = (await companion.ask(`/v1/edits/${running}?after=${seen.length}&wait=20`)).json<Poll>();
    expect(waited.events.length).toBeGreaterThan(0);
    expect(performance.now() - started).toBeLessThan(15_000);
    await companion.ask(`/v1/edits/${running}`, { method: 'DELETE' });
    await companion.follow(running);
  });

  it('lists its edits, newest first', async () => {
    const id = await companion.send(quick);
    await companion.follow(id);
    const { edits } = (await companion.ask('/v1/edits')).json<History>();
    expect(edits[0]).toMatchObject({ id, state: 'done', request: { instruction: 'a red circle' } });
    const times = edits.map(({ created }) => created);
    expect(times).toEqual([...times].sort().reverse());
    const before = (await companion.ask(`/v1/edits?before=${edits[0]!.id}`)).json<History>();
    expect(before.edits.map((edit) => edit.id)).toEqual(edits.slice(1).map((edit) => edit.id));
  });

  it.each([
    ['/v1/edits/no-uuid', 'id', 'no-uuid'],
    ['/v1/edits/00000000-0000-4000-8000-000000000000?wait=soon', 'wait', 'soon'],
    ['/v1/edits/00000000-0000-4000-8000-000000000000?after=-1', 'after', '-1'],
    ['/v1/edits/00000000-0000-4000-8000-000000000000?after=1&after=2', 'after', 'Array'],
    ['/v1/edits/00000000-0000-4000-8000-000000000000/result?variant=x', 'variant', 'x'],
    ['/v1/edits?before=1&before=2', 'before', 'Array'],
  ])('rejects %s with the field and its value', async (url, field, value) => {
    const answer = await companion.ask(url);
    expect(answer.json()).toMatchObject({
      code: 'request-invalid',
      status: 400,
      detail: expect.stringMatching(new RegExp(`"${field}": .*${value}`)),
    });
  });

  it('only returns what the protocol defines: a model’s folder stays private', async () => {
    const answer = await companion.ask('/v1/models');
    expect(answer.body.toString()).not.toContain(companion.home);
  });

  it('lists the models that can run', async () => {
    const { models } = (await companion.ask('/v1/models')).json<{ models: { id: string }[] }>();
    const flux = {
      maxSequence: 4096,
      defaultSteps: 50,
      defaultGuidance: 30,
      defaultContext: 0.5,
      namesReferences: false,
    };
    expect(models).toContainEqual({ id: 'tiny', title: 'tiny', ...flux, adapters: [] });
    expect(models[0]).toMatchObject({
      id: 'pocket',
      defaultSteps: 12,
      defaultGuidance: 4,
      namesReferences: true,
      defaultContext: 0.25,
    });
  });
});

describe('a companion that exits', () => {
  it('stops its engine, and serves old results after a restart', async () => {
    const first = await RunningCompanion.start();
    const done = await first.send(quick);
    await first.follow(done);
    const result = await first.ask(`/v1/edits/${done}/result`);
    const running = await first.send(long);
    await first.follow(running, isStep(1));
    const waiting = await first.send(quick);
    const engine = first.enginePid()!;
    expect(await first.stop()).toBe(0);
    expect(() => process.kill(engine, 0)).toThrow('ESRCH');

    const second = await RunningCompanion.start({ home: first.home });
    try {
      expect(second.token).toBe(first.token);
      expect((await second.ask(`/v1/edits/${done}/result`)).body.equals(result.body)).toBe(true);
      expect((await second.follow(done)).at(-1)).toMatchObject({ type: 'done' });
      expect((await second.follow(running)).at(-1)).toMatchObject({ type: 'done', results: [{ runs: 2 }] });
      expect((await second.follow(waiting)).at(-1)).toMatchObject({ type: 'done' });
      const again = await second.put(quick, done);
      expect([again.status, again.json().state]).toEqual([202, 'queued']);
    } finally {
      await second.remove();
    }
  });

  it('leaves no engine behind even if killed, and reruns what was running', async () => {
    const first = await RunningCompanion.start();
    const running = await first.send(long);
    await first.follow(running, isStep(1));
    const engine = first.enginePid()!;
    await first.stop('SIGKILL');
    await expect.poll(() => isAlive(engine), { timeout: 10_000 }).toBe(false);
    const second = await RunningCompanion.start({ home: first.home });
    try {
      expect((await second.follow(running)).at(-1)).toMatchObject({ type: 'done', results: [{ runs: 2 }] });
    } finally {
      await second.remove();
    }
  });
});

describe('starting', () => {
  it('reports that ACEPP_PORT is in use, and that another companion uses the folder', async () => {
    const companion = await RunningCompanion.start();
    try {
      const samePort = RunningCompanion.start({ env: { ACEPP_PORT: companion.url.port } });
      await expect(samePort).rejects.toThrow('port-busy');
      const sameHome = RunningCompanion.start({ home: companion.home });
      await expect(sameHome).rejects.toThrow('companion-running');
    } finally {
      await companion.remove();
    }
  });

  it('listens at ACEPP_PORT, and rejects an invalid port', async () => {
    const port = String(await freePort());
    const companion = await RunningCompanion.start({ env: { ACEPP_PORT: port } });
    expect(companion.url.port).toBe(port);
    await companion.remove();
    const wrong = RunningCompanion.start({ env: { ACEPP_PORT: '99999' } });
    await expect(wrong).rejects.toThrow('request-invalid');
  });

  it('takes over a folder whose companion is gone', async () => {
    const companion = await RunningCompanion.start();
    await companion.stop('SIGKILL');
    await writeFile(path.join(companion.home, 'companion.pid'), '999999999\n');
    const next = await RunningCompanion.start({ home: companion.home });
    await next.remove();
  });

  // A stand-in for the desktop's opener, which records what it is asked to open.
  it.skipIf(process.platform !== 'linux')(
    'opens a browser, given a display and no CI, at a one-time address that is not the token',
    async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
      const opened = path.join(folder, 'opened');
      const opener = path.join(folder, 'xdg-open');
      await writeFile(
        opener,
        `#!/bin/sh\nprintf '%s' "$1" > "${opened}.part" && mv "${opened}.part" "${opened}"\n`,
      );
      await chmod(opener, 0o755);
      const PATH = `${folder}:${process.env.PATH}`;
      const screen = { PATH, DISPLAY: ':0', CI: '' };
      try {
        for (const [env, args] of [
          [{ ...screen, CI: 'true' }, []],
          [{ ...screen, DISPLAY: '', WAYLAND_DISPLAY: '' }, []],
          [screen, ['--no-browser']],
        ] as const) {
          const silent = await RunningCompanion.start({ env, args: [...args] });
          expect((await silent.ask('/v1/health')).status).toBe(200);
          await silent.remove();
          expect(existsSync(opened)).toBe(false);
        }
        const companion = await RunningCompanion.start({ env: screen });
        try {
          await expect.poll(() => existsSync(opened), { timeout: 10_000 }).toBe(true);
          const url = new URL(await readFile(opened, 'utf8'));
          expect(url.href).not.toContain(companion.token);
          const visit = () => companion.ask(url.pathname, { headers: { authorization: '' } });
          const first = await visit();
          expect([first.status, first.headers.location]).toEqual([302, `/#token=${companion.token}`]);
          expect((await visit()).status).toBe(404);
        } finally {
          await companion.remove();
        }
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  it('rejects an unknown provider', async () => {
    await expect(RunningCompanion.start({ args: ['--provider', 'abacus'] })).rejects.toThrow('abacus');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
