import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chunksSuffix, download, partSuffix } from '../../../server/install/download.ts';
import { Hub } from '../../../server/install/hub.ts';
import type { Source } from '../../../server/install/published.ts';
import type { CodedError } from '../../../shared/errors.ts';
import { errorOf } from './error-of.ts';
import { FakeHub } from './fake-hub.ts';

const chunkBytes = 64 * 1024;
const size = 20 * chunkBytes + 12_345;
const bytes = randomBytes(size);
const source: Source = {
  repo: 'someone/model',
  path: 'folder/weights.safetensors',
  revision: 'main',
  licence: 'mit',
};

let fake: FakeHub;
let folder: string;
let destination: string;
let said: string[];
beforeAll(async () => {
  fake = await FakeHub.start();
  fake.publish(source.repo, source.path, bytes);
  fake.publish(source.repo, 'tokenizer.json', bytes.subarray(0, 5000), false);
});
afterAll(() => fake.close());
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  destination = path.join(folder, 'weights.safetensors');
  said = [];
  fake.forget();
});
afterEach(() => rm(folder, { recursive: true }));

const never = new AbortController().signal;

async function fetchIt(
  options: {
    signal?: AbortSignal;
    token?: string;
    stallMs?: number;
    source?: Source;
    progress?: (bytes: number) => void;
  } = {},
): Promise<void> {
  const signal = options.signal ?? never;
  const hub = new Hub({
    endpoint: fake.endpoint,
    signal,
    token: options.token,
    stallMs: options.stallMs ?? 5000,
  });
  const remote = await hub.describe(options.source ?? source);
  await download(hub, remote, destination, {
    signal,
    progress: options.progress ?? (() => {}),
    log: (text) => said.push(text),
    chunkBytes,
    firstDelayMs: 1,
  });
}

/** A fault for the first answers of the storage only. */
const first = (count: number, fault: ReturnType<FakeHub['fault']>): FakeHub['fault'] => {
  let left = count;
  return () => (left-- > 0 ? fault : undefined);
};

const isWhole = async () => (await readFile(destination)).equals(bytes);

/** A partial file left by an earlier call: this many bytes, with their chunk hashes. */
async function begin(count: number): Promise<void> {
  const ended = new AbortController();
  fake.fault = () => ({ kind: 'stall', after: count });
  const running = fetchIt({ signal: ended.signal });
  await expect
    .poll(
      () =>
        stat(destination + partSuffix).then(
          (s) => s.size,
          () => 0,
        ),
      { timeout: 30_000 },
    )
    .toBe(count);
  ended.abort();
  await expect(running).rejects.toThrow();
  fake.forget();
}

describe('a fetch', () => {
  it('writes the file, and nothing next to it but its chunk hashes', async () => {
    await fetchIt();
    expect(await isWhole()).toBe(true);
    expect(existsSync(destination + partSuffix)).toBe(false);
    const lines = (await readFile(destination + chunksSuffix, 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(1 + 21);
    const third = bytes.subarray(2 * chunkBytes, 3 * chunkBytes);
    expect(lines[3]).toBe(`2 ${createHash('sha256').update(third).digest('hex')} whole`);
  });

  it('requests the commit that the hub reported, at whichever redirect it did', async () => {
    const hub = new Hub({ endpoint: fake.endpoint, signal: never });
    for (const path of [source.path, 'tokenizer.json']) {
      expect((await hub.describe({ ...source, path })).revision).toBe(fake.commit);
    }
  });

  it('fetches a small file of the hub itself, verified by its git hash', async () => {
    await fetchIt({ source: { ...source, path: 'tokenizer.json' } });
    expect((await readFile(destination)).equals(bytes.subarray(0, 5000))).toBe(true);
  });

  it('sends the token to the hub, and never to the storage it redirects to', async () => {
    await fetchIt({ token: 'hf_secret' });
    const tokens = (host: string) =>
      new Set(fake.asked.filter((asked) => asked.host === host).map(({ authorization }) => authorization));
    expect(tokens('hub')).toEqual(new Set(['Bearer hf_secret']));
    expect(tokens('storage')).toEqual(new Set([undefined]));
  });

  it('resumes after random connection losses, each time at the exact byte', async () => {
    fake.fault = () => ({ kind: 'drop', after: 1 + Math.floor(Math.random() * 150_000) });
    const arrived = new Set([0]);
    await fetchIt({ progress: (count) => arrived.add(count) });
    expect(await isWhole()).toBe(true);
    const begins = fake.asked.filter(({ host }) => host === 'storage').map(({ begin }) => begin);
    expect(begins.length).toBeGreaterThan(10);
    expect(begins.filter((begin) => !arrived.has(begin))).toEqual([]);
    expect(begins).toEqual([...begins].sort((a, b) => a - b));
  });

  it.each<[string, ReturnType<FakeHub['fault']>]>([
    ['says a length beyond what it sends', { kind: 'long', more: 1000 }],
    ['sends less than it was asked for, and says so', { kind: 'short', bytes: 100_000 }],
    ['sends more than it was asked for', { kind: 'extra', bytes: randomBytes(70_000) }],
    ['says another place than it was asked for', { kind: 'range', first: 5 }],
    ['says another size, once', { kind: 'range', total: size + 1 }],
    ['answers 416, once', { kind: 'status', status: 416 }],
    ['answers 429 and names a time', { kind: 'status', status: 429, headers: { 'retry-after': '1' } }],
    ['answers 503', { kind: 'status', status: 503 }],
    ['answers 403 because its address has run out', { kind: 'status', status: 403 }],
  ])('gets the right bytes from a server that %s', async (_, fault) => {
    fake.fault = first(3, fault);
    const start = performance.now();
    await fetchIt();
    expect(await isWhole()).toBe(true);
    if (fault?.kind === 'status' && fault.status === 429) {
      expect(performance.now() - start).toBeGreaterThan(2900);
    }
  });

  it('resumes even from a server without range support', async () => {
    await begin(300_000);
    fake.fault = () => ({ kind: 'whole' });
    await fetchIt();
    expect(await isWhole()).toBe(true);
  });

  it('abandons a stalled connection and opens another', async () => {
    fake.fault = first(2, { kind: 'stall', after: 0 });
    await fetchIt({ stallMs: 200 });
    expect(await isWhole()).toBe(true);
    expect(said.join()).toContain('no data for 0.2 s');
  });

  it.each<[string, ReturnType<FakeHub['fault']>, string]>([
    ['always says another size', { kind: 'range', total: size + 1 }, 'hub-wrong'],
    ['always answers 416', { kind: 'status', status: 416 }, 'hub-wrong'],
    ['always answers 500', { kind: 'status', status: 500 }, 'hub-unreachable'],
    ['never gives a byte', { kind: 'drop', after: 0 }, 'hub-unreachable'],
  ])('fails with a server that %s, and keeps what it has', async (_, fault, code) => {
    await begin(200_000);
    fake.fault = () => fault;
    const error = await errorOf(fetchIt());
    expect(error?.code).toBe(code);
    expect((await stat(destination + partSuffix)).size).toBe(200_000);
    expect(existsSync(destination)).toBe(false);
  });

  it('starts over if the hub now has another file', async () => {
    await begin(300_000);
    const other = randomBytes(size);
    fake.publish(source.repo, source.path, other);
    await fetchIt();
    expect((await readFile(destination)).equals(other)).toBe(true);
    fake.publish(source.repo, source.path, bytes);
  });
});

describe('a wrong byte', () => {
  /** The partial file as it is on disk. */
  async function damage(...places: number[]): Promise<void> {
    const there = await readFile(destination + partSuffix);
    for (const at of places) there[at]! ^= 1;
    await writeFile(destination + partSuffix, there);
  }

  it('on the disk is found on resuming, and only its chunk is refetched', async () => {
    await begin(15 * chunkBytes + 999);
    await damage(5 * chunkBytes + 17);
    await fetchIt();
    expect(await isWhole()).toBe(true);
    expect(fake.sent).toBe(chunkBytes + (size - (15 * chunkBytes + 999)));
    expect(said).toEqual([expect.stringContaining(`bytes ${5 * chunkBytes} to ${6 * chunkBytes - 1}`)]);
  });

  it('in each of three chunks causes just these three to be refetched', async () => {
    await begin(15 * chunkBytes);
    await damage(0, 5 * chunkBytes, 15 * chunkBytes - 1);
    await fetchIt();
    expect(await isWhole()).toBe(true);
    expect(fake.sent).toBe(3 * chunkBytes + (size - 15 * chunkBytes));
  });

  it('among zeros left by a power cut is found, although the hashes were written', async () => {
    await begin(15 * chunkBytes);
    await truncate(destination + partSuffix, 14 * chunkBytes);
    await truncate(destination + partSuffix, 15 * chunkBytes);
    await fetchIt();
    expect(await isWhole()).toBe(true);
    expect(fake.sent).toBe(chunkBytes + (size - 15 * chunkBytes));
  });

  it('received before a connection loss is found at once, before any other chunk is compared', async () => {
    let count = 0;
    fake.fault = () => (count++ === 0 ? { kind: 'flip', at: 400_000, dropAfter: 410_000 } : undefined);
    await fetchIt();
    expect(await isWhole()).toBe(true);
    // Compared, and once more to decide.
    expect(fake.sent).toBeLessThanOrEqual(size + 2 * chunkBytes + 2 * 16 * 1024);
    expect(said.join('\n')).toContain('part of it was corrupted on the way');
  });

  it('received unnoticed is found by comparing chunks, and nothing after it is refetched', async () => {
    const at = 7 * chunkBytes + 1;
    let count = 0;
    fake.fault = () => (count++ === 0 ? { kind: 'flip', at } : undefined);
    await fetchIt();
    expect(await isWhole()).toBe(true);
    expect(fake.sent).toBe(size + 8 * chunkBytes + chunkBytes);
    const journal = await readFile(destination + chunksSuffix, 'utf8');
    expect(journal.match(/ twice$/gm)).toHaveLength(8);
  });

  it('received while chunks are compared does not get into the file', async () => {
    let count = 0;
    fake.fault = () => {
      count++;
      if (count === 1) return { kind: 'flip', at: 7 * chunkBytes + 1 };
      // The second chunk, when it is compared.
      return count === 3 ? { kind: 'flip', at: chunkBytes + 1 } : undefined;
    };
    await fetchIt();
    expect(await isWhole()).toBe(true);
  });

  it('received every time is reported, and no file appears', async () => {
    fake.fault = () => ({ kind: 'flip', at: 12_345 });
    const error = await errorOf(fetchIt());
    expect(error?.code).toBe('hub-wrong');
    expect(error?.detail).toContain(createHash('sha256').update(bytes).digest('hex'));
    expect(existsSync(destination)).toBe(false);
    expect(existsSync(destination + partSuffix)).toBe(false);
    fake.forget();
    await fetchIt();
    expect(await isWhole()).toBe(true);
  });
});

describe('a refusal by the hub is explained', () => {
  it.each<[string, { status: number; code?: string }, string | undefined, RegExp, RegExp]>([
    [
      'the licence was not accepted and there is no token',
      { status: 401, code: 'GatedRepo' },
      undefined,
      /accepted its licence on its page, and no HF_TOKEN is set \(401\)/,
      /accept the licence at https:\/\/huggingface\.co\/someone\/model\..*Set HF_TOKEN/s,
    ],
    [
      'the token is wrong',
      { status: 401 },
      'hf_wrong',
      /does not know the token in HF_TOKEN/,
      /Create a new token/,
    ],
    [
      'the account did not accept the licence',
      { status: 403, code: 'GatedRepo' },
      'hf_right',
      /The account of HF_TOKEN has no access to someone\/model \(403\)/,
      /Accept its licence at https:\/\/huggingface\.co\/someone\/model with the same account/,
    ],
    ['there is no such file', { status: 404 }, undefined, /has no someone\/model\/folder.*\(404\)/, /Update/],
    ['the request is refused', { status: 451 }, undefined, /refused .* with 451/, /later/],
  ])('%s', async (_, refusal, token, detail, remedy) => {
    fake.refusal = () => refusal;
    const error = await errorOf(fetchIt(token === undefined ? {} : { token }));
    expect(error?.code).toBe('hub-refused');
    expect(error?.detail).toMatch(detail);
    expect(error?.remedy).toMatch(remedy);
    expect(`${error?.message}`).not.toContain('hf_');
  });

  it('a token with a quote or a space in it, without showing it', () => {
    for (const token of ['“hf_secret”', 'hf_secret hf_other']) {
      let error: CodedError | undefined;
      try {
        new Hub({ endpoint: fake.endpoint, signal: never, token });
      } catch (thrown) {
        error = thrown as CodedError;
      }
      expect(error?.code).toBe('request-invalid');
      expect(error?.message).toMatch(/^HF_TOKEN has characters that no token has/);
      expect(error?.message).not.toContain('hf_');
    }
  });

  it('a size or hash that differs from the published one', async () => {
    const sha256 = createHash('sha256').update('another').digest('hex');
    for (const wrong of [
      { ...source, size: size + 1 },
      { ...source, sha256 },
    ]) {
      const error = await errorOf(fetchIt({ source: wrong }));
      expect(error?.code).toBe('hub-wrong');
      expect(error?.detail).toMatch(/instead of the published/);
    }
  });
});
