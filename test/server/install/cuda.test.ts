import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { zipSync } from 'fflate';
import * as tar from 'tar';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../../../server/disk/paths.ts';
import { installCUDA, isInstalled, removeCUDA, requireLinux } from '../../../server/install/cuda.ts';
import { type Archive, cudaArchives } from '../../../server/install/cuda-archives.ts';
import { cudaFolder, engineEnvironment } from '../../../server/runtime/environment.ts';
import type { CodedError } from '../../../shared/errors.ts';
import { errorOf } from './error-of.ts';
import { FakeHub } from './fake-hub.ts';

const chunkBytes = 64 * 1024;
const cudnn = randomBytes(5 * chunkBytes + 123);
const provider = randomBytes(3 * chunkBytes);

let fake: FakeHub;
let home: string;
let archives: Archive[];
let said: string[];
const before = process.env.ACEPP_HOME;

beforeAll(async () => {
  fake = await FakeHub.start();
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  const inside = 'package/Plugins/Linux/x64';
  await mkdir(path.join(folder, inside), { recursive: true });
  await writeFile(path.join(folder, inside, 'libonnxruntime_providers_cuda.so'), provider);
  await writeFile(path.join(folder, inside, 'other.so'), provider);
  const tarball = path.join(folder, 'provider.tgz');
  await tar.c({ gzip: true, file: tarball, cwd: folder }, ['package']);
  const wheel = zipSync({
    'nvidia/cudnn/lib/libcudnn.so.9': cudnn,
    'nvidia/cudnn/lib/readme.txt': cudnn,
  });
  archives = [
    published('a/b/provider.tgz', await readFile(tarball), /\/libonnxruntime_providers_\w+\.so$/),
    published('a/b/cudnn.whl', Buffer.from(wheel), /\/libcudnn\w*\.so\.9$/),
  ];
  await rm(folder, { recursive: true });
});
afterAll(() => fake.close());

function published(place: string, bytes: Buffer, takes: RegExp): Archive {
  fake.publish('files', place, bytes);
  return {
    title: path.basename(place),
    url: `${fake.storage}/files/${place}`,
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    licence: 'mit',
    takes,
    unpacked: bytes.length,
  };
}

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'acepp-test-'));
  process.env.ACEPP_HOME = home;
  said = [];
  fake.forget();
});
afterEach(async () => {
  await rm(home, { recursive: true });
  if (before === undefined) delete process.env.ACEPP_HOME;
  else process.env.ACEPP_HOME = before;
});

function install(
  options: {
    archives?: readonly Archive[];
    signal?: AbortSignal;
    log?: (text: string) => void;
    ask?: () => Promise<boolean>;
  } = {},
): Promise<void> {
  return installCUDA(options.archives ?? archives, {
    home,
    ask: options.ask ?? (async () => true),
    progress: () => {},
    log: options.log ?? ((text) => said.push(text)),
    signal: options.signal ?? new AbortController().signal,
    chunkBytes,
    firstDelayMs: 1,
  });
}

async function expectWhole(): Promise<void> {
  const names = (await readdir(cudaFolder())).filter((name) => !name.startsWith('libonnxruntime.so'));
  expect(names.sort()).toEqual(['libcudnn.so', 'libcudnn.so.9', 'libonnxruntime_providers_cuda.so']);
  expect((await readFile(path.join(cudaFolder(), 'libcudnn.so'))).equals(cudnn)).toBe(true);
  const file = path.join(cudaFolder(), 'libonnxruntime_providers_cuda.so');
  expect((await readFile(file)).equals(provider)).toBe(true);
}

describe('installing CUDA', () => {
  it('extracts the libraries from wheel and tarball, links cuDNN without a version, and leaves no archive', async () => {
    await install();
    await expectWhole();
    expect(await readdir(path.dirname(cudaFolder()))).toEqual([path.basename(cudaFolder())]);
    const { sent } = fake;
    await install();
    expect(fake.sent).toBe(sent);
  });

  it('resumes after broken connections, and repairs a corrupted byte', async () => {
    let answers = 0;
    fake.fault = ({ begin }) => {
      answers++;
      if (answers === 2) return { kind: 'flip', at: begin + 10, dropAfter: 50_000 };
      return answers < 12 ? { kind: 'drop', after: 40_000 } : undefined;
    };
    await install();
    await expectWhole();
    expect(answers).toBeGreaterThan(12);
    expect(said.join('\n')).toContain('part of it was corrupted on the way');
  });

  it('resumes after an interruption without fetching anything twice; until then nothing is loaded', async () => {
    const ended = new AbortController();
    const endAtSecond = (text: string) => {
      if (text === 'cudnn.whl: unpacking') ended.abort();
    };
    await expect(install({ signal: ended.signal, log: endAtSecond })).rejects.toThrow();
    expect(await isInstalled()).toBe(false);
    expect(engineEnvironment().LD_LIBRARY_PATH).toBe(process.env.LD_LIBRARY_PATH);
    const { sent } = fake;
    expect(sent).toBe(archives.reduce((sum, { size }) => sum + size, 0));
    await install();
    expect(fake.sent).toBe(sent);
    await expectWhole();
  });

  it('is rejected up front if the disk is too small or a licence is not accepted', async () => {
    const [first, ...others] = archives as [Archive];
    const error = await errorOf(install({ archives: [{ ...first, unpacked: 1e15 }, ...others] }));
    expect(error?.code).toBe('disk-full');
    expect(error?.detail).toMatch(/^CUDA needs 1000000\.\d GB, but only [\d.]+ [GM]B are free in /);
    const asked = { ...first, licence: 'nvidia-cuda' } as const;
    const refused = await errorOf(install({ archives: [asked], ask: async () => false }));
    expect(refused?.code).toBe('licence-not-accepted');
    expect(fake.asked.filter(({ host }) => host === 'storage')).toEqual([]);
  });

  it('reports what a server refuses, and what stays corrupted', async () => {
    fake.fault = () => ({ kind: 'status', status: 404 });
    expect((await errorOf(install()))?.code).toBe('hub-refused');
    fake.fault = () => ({ kind: 'flip', at: 7 });
    const error = await errorOf(install());
    expect(error?.code).toBe('hub-wrong');
    expect(error?.remedy).not.toContain('HF_ENDPOINT');
    expect(await isInstalled()).toBe(false);
  });

  it('can be uninstalled', async () => {
    await install();
    expect(await removeCUDA()).toBeGreaterThanOrEqual(cudnn.length + provider.length);
    expect(existsSync(path.dirname(cudaFolder()))).toBe(false);
    expect(await removeCUDA()).toBe(0);
  });
});

it.runIf(process.platform === 'linux')(
  'the engine loads the installed libraries alongside this project’s runtime, even after the runtime has moved',
  async () => {
    await install();
    const link = path.join(cudaFolder(), 'libonnxruntime.so.1');
    const paths = engineEnvironment().LD_LIBRARY_PATH?.split(':');
    expect(paths?.[0]).toBe(cudaFolder());
    const target = readlinkSync(link);
    expect(existsSync(target)).toBe(true);
    await rm(link);
    await writeFile(link, 'of another place');
    engineEnvironment();
    expect(readlinkSync(link)).toBe(target);
  },
);

it.each([
  ['win32', 'x64', 'DirectML'],
  ['darwin', 'arm64', 'npm ci'],
  ['linux', 'arm64', 'npm ci'],
] as const)('there is no CUDA for %s on %s: it says what is there instead', (platform, arch, remedy) => {
  try {
    requireLinux(platform, arch);
    expect.unreachable();
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'provider-unavailable' });
    expect((thrown as CodedError).detail).toContain(`"${platform}-${arch}"`);
    expect((thrown as CodedError).remedy).toContain(remedy);
  }
  expect(() => requireLinux('linux', 'x64')).not.toThrow();
});

describe.runIf(process.platform === 'linux')('acepp cuda status', () => {
  /** nvidia-smi's output on a machine with this GPU. */
  const status = async (driver?: string): Promise<string> => {
    const bin = path.join(home, 'bin');
    await mkdir(bin, { recursive: true });
    const answer = `case "$*" in *driver_version*) echo ${driver};; *) echo "0, GPU-5d5ba0d6, 11000, 12282, NVIDIA GeForce RTX 4070";; esac`;
    if (driver) await writeFile(path.join(bin, 'nvidia-smi'), `#!/bin/sh\n${answer}\n`, { mode: 0o755 });
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['dist/server/acepp.js', 'cuda', 'status'],
      {
        cwd: projectRoot,
        env: { ...process.env, PATH: `${bin}:/bin` },
      },
    );
    return stdout;
  };

  it('reports that there is no GPU', async () => {
    expect(await status()).toBe(
      `Not installed: acepp cuda install\nNo NVIDIA GPU with a driver was found. Install the driver. Ubuntu: "sudo ubuntu-drivers install"; WSL2: NVIDIA's driver for Windows, and nothing inside WSL.\n`,
    );
  });

  it('reports the GPU, and a driver that is too old', async () => {
    expect(await status('535.183.01')).toMatch(
      /NVIDIA GeForce RTX 4070, 11\.5 GB of 12\.9 GB free, driver 535\.183\.01\. CUDA 13 needs driver 580 or newer\./,
    );
  });

  it('tests whether CUDA computes, and reports what prevents it', async () => {
    await install();
    expect(await status('580.95.05')).toMatch(
      /^Installed in .*\n.*driver 580\.95\.05\. It does not work: [^\n]*libonnxruntime_providers_\w+\.so[^\n]*\.\n$/,
    );
  });
});

it('every published archive has a location, a size and a hash', () => {
  for (const { url, size, sha256, unpacked } of cudaArchives) {
    expect(new URL(url).protocol).toBe('https:');
    expect(size).toBeGreaterThan(1e6);
    expect(unpacked).toBeGreaterThan(size / 4);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  }
});
