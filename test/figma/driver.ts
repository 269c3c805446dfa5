import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import manifest from '../../manifest.json' with { type: 'json' };
import { buildFigma } from '../../plugins/figma/build.ts';
import { connect, type Message } from '../../plugins/figma/channel.ts';
import type { CaptureInput, SandboxCalls, SandboxEvents } from '../../plugins/figma/protocol.ts';
import { SandboxRealm } from './simulator/plugin.ts';
import type { Scene } from './simulator/scene.ts';
import { wire } from './simulator/wire.ts';

export interface Built {
  readonly folder: string;
  readonly main: string;
  remove(): Promise<void>;
}

/** Builds the plugin as `npm run package` does, for other ports if need be. */
export async function built(ports: readonly number[] = manifest.ports): Promise<Built> {
  const folder = await mkdtemp(path.join(tmpdir(), 'acepp-figma-'));
  await buildFigma({ ...manifest, ports }, folder);
  const main = await readFile(path.join(folder, 'main.js'), 'utf8');
  return { folder, main, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The built sandbox in its realm, with the test in place of the panel. */
export function drive(main: string, scene: Scene, storage = new Map<string, unknown>()) {
  const sandbox = connect<SandboxCalls, SandboxEvents>((message) => realm.receive(wire.encode(message)));
  const realm = new SandboxRealm({
    scene,
    storage,
    toUI: (text) => sandbox.receive(wire.decode(text) as Message),
  });
  scene.startPlugin();
  realm.run(main);
  return { sandbox, realm };
}

/** Asks for the picture of a node. */
export function node(id: string): CaptureInput {
  return { choice: { kind: 'node', id }, exportOnly: false };
}

/** Adds an image to the document, as if a person had dropped it. */
export function putImage(scene: Scene, file: Uint8Array): string {
  const hash = createHash('sha1').update(file).digest('hex');
  scene.images.set(hash, Uint8Array.from(file));
  return hash;
}

/** A PNG by a formula. */
export async function png(
  width: number,
  height: number,
  at: (x: number, y: number) => readonly [number, number, number, number],
): Promise<Uint8Array> {
  const data = Buffer.alloc(width * height * 4);
  for (let i = 0; i < width * height; i++) data.set(at(i % width, Math.floor(i / width)), i * 4);
  return new Uint8Array(
    await sharp(data, { raw: { width, height, channels: 4 } })
      .png({ compressionLevel: 1 })
      .toBuffer(),
  );
}

/** Pseudo-random numbers in [0, 1) by a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
