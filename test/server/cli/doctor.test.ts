import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkDisk, checkGPU, checkNode } from '../../../server/cli/doctor-checks.ts';
import { projectRoot } from '../../../server/disk/paths.ts';
import { tinyModel } from '../models/arrays.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'acepp-doctor-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** The page and the exit code, in an isolated set-up: only Node.js itself is on the PATH. */
async function doctor(env: Record<string, string>): Promise<{ page: string; code: number }> {
  const bin = env.PATH ?? (await mkdtemp(path.join(folder, 'bin-')));
  await symlink(process.execPath, path.join(bin, 'node')).catch(() => {});
  const acepp = path.join(projectRoot, 'dist/server/acepp.js');
  const home = await mkdtemp(path.join(folder, 'home-'));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [acepp, 'doctor'],
      { env: { ACEPP_HOME: home, ...env, PATH: bin } },
      (error, stdout, stderr) => {
        resolve({ page: stdout + stderr, code: typeof error?.code === 'number' ? error.code : 0 });
      },
    );
  });
}

const line = (page: string, title: string) => {
  const lines = page.split('\n');
  const at = lines.findIndex((text) => text.slice(6).startsWith(title));
  return `${lines[at]} | ${lines[at + 1]?.trim()}`;
};

describe('acepp doctor', { timeout: 120_000 }, () => {
  it('reports on one page what works, and what is available without a driver', async () => {
    const { page, code } = await doctor({});
    expect(code).toBe(0);
    expect(line(page, 'Node.js')).toMatch(/^ok /);
    expect(line(page, 'ONNX Runtime')).toMatch(/^ok .*cpu/);
    expect(line(page, 'NVIDIA GPU')).toMatch(
      /^note .*no driver was found.* \| With an NVIDIA GPU, install its driver/,
    );
    expect(line(page, 'Provider webgpu')).toMatch(/^(?:note|ok) /);
    expect(line(page, 'Model pocket')).toMatch(/^ok .*complete/);
    expect(page.trim().split('\n').length).toBeLessThan(30);
    expect(page).not.toMatch(/^\s+at /m);
  });

  it('reports a foreign library, a missing MIG device, a missing tokenizer and a port in use', async () => {
    const foreign = await mkdtemp(path.join(folder, 'foreign-'));
    await writeFile(path.join(foreign, 'libonnxruntime.so.1'), 'not a library');
    const bin = await mkdtemp(path.join(folder, 'smi-'));
    const smi = path.join(bin, 'nvidia-smi');
    await writeFile(
      smi,
      `#!/bin/sh
case "$*" in
  -L) echo 'GPU 0: NVIDIA A100 80GB (UUID: GPU-aaaa)'; echo '  MIG 1g.10gb     Device  0: (UUID: MIG-bbbb)';;
  *driver_version*) echo '580.95.05';;
  *) echo '0, GPU-aaaa, 70000, 81920, NVIDIA A100 80GB';;
esac
`,
    );
    await chmod(smi, 0o755);
    const home = await mkdtemp(path.join(folder, 'home-'));
    const model = path.join(home, 'models', 'mine');
    await mkdir(path.dirname(model));
    await cp(tinyModel.folder, model, { recursive: true });
    await rm(path.join(model, 't5', 'tokenizer.json'));
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const { page, code } = await doctor({
      PATH: bin,
      LD_LIBRARY_PATH: foreign,
      CUDA_VISIBLE_DEVICES: 'MIG-cccc',
      ACEPP_HOME: home,
      ACEPP_PORT: String(port),
    });
    server.close();
    expect(code).toBe(1);
    expect(line(page, 'ONNX Runtime')).toMatch(
      /^FAIL .*cannot be loaded: \S*libonnxruntime\.so\.1: .* \| Another ONNX Runtime lies in a folder of LD_LIBRARY_PATH/,
    );
    expect(line(page, 'NVIDIA GPU')).toMatch(
      /^FAIL .*CUDA_VISIBLE_DEVICES is "MIG-cccc", which hides every GPU; there are 0 \(GPU-aaaa\), MIG-bbbb \| Unset it/,
    );
    expect(line(page, 'CUDA libraries')).toMatch(
      /^note .*missing: libonnxruntime_providers_cuda\.so, libcublasLt\.so\.13/,
    );
    expect(line(page, 'Model mine')).toMatch(
      /^FAIL .*has no t5\/tokenizer\.json\. \| .*acepp models install mine/,
    );
    expect(line(page, 'Ports')).toMatch(/^FAIL .*another program has \d+ \| .*ACEPP_PORT/);
    expect(page).not.toMatch(/^\s+at /m);
  });
});

describe('a check', () => {
  it('of the disk fails if it is full or the folder is not writable', async () => {
    expect(await checkDisk(folder, 1e6)).toMatchObject({
      state: 'wrong',
      text: expect.stringMatching(/too little for edits/),
    });
    await writeFile(path.join(folder, 'file'), '');
    expect(await checkDisk(path.join(folder, 'file', 'home'), 1e12)).toMatchObject({
      state: 'wrong',
      text: expect.stringMatching(/cannot be written/),
    });
    expect(await checkDisk(path.join(folder, 'new'), 1e12)).toMatchObject({ state: 'ok' });
  });

  it('of Node.js fails before 20.9', () => {
    expect(['18.20.0', '20.8.1', '20.9.0', '24.1.0'].map((version) => checkNode(version).state)).toEqual([
      'wrong',
      'wrong',
      'ok',
      'ok',
    ]);
  });

  it('of the GPU fails with an old driver, and names what is free', () => {
    const gpu = { index: 0, uuid: 'GPU-aaaa', name: 'NVIDIA RTX', free: 8e9, total: 12e9, parts: [] };
    expect(checkGPU([gpu], '535.54', undefined)).toMatchObject({
      state: 'wrong',
      remedy: expect.stringMatching(/580/),
    });
    expect(checkGPU([gpu], '580.95', undefined)).toMatchObject({
      state: 'ok',
      text: 'NVIDIA RTX, 8.0 GB of 12.0 GB free, driver 580.95',
    });
  });
});
