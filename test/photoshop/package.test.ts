import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { unzipSync } from 'fflate';
import sharp from 'sharp';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import source from '../../manifest.json' with { type: 'json' };
import { packPhotoshop } from '../../plugins/photoshop/build.ts';
import { builtPanel } from './panel.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const size = v.strictObject({ width: count, height: count });
const icon = v.strictObject({
  width: count,
  height: count,
  path: v.pipe(v.string(), v.regex(/^icons\/[a-z-]+\.png$/)),
  theme: v.array(v.picklist(['lightest', 'light', 'medium', 'dark', 'darkest', 'all'])),
  scale: v.array(v.picklist([1, 2])),
});

/** A manifest of version 5 as Adobe documents it, and no more than this plugin needs: an unknown key fails. */
const schema = v.strictObject({
  manifestVersion: v.literal(5),
  id: v.pipe(v.string(), v.regex(/^[a-z0-9.-]+$/)),
  name: v.pipe(v.string(), v.minLength(3), v.maxLength(45)),
  version: v.pipe(v.string(), v.regex(/^\d{1,2}\.\d{1,2}\.\d{1,2}$/)),
  main: v.literal('index.html'),
  host: v.strictObject({
    app: v.literal('PS'),
    minVersion: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+$/)),
    data: v.strictObject({ apiVersion: v.literal(2) }),
  }),
  requiredPermissions: v.strictObject({
    network: v.strictObject({
      domains: v.array(v.pipe(v.string(), v.regex(/^http:\/\/127\.0\.0\.1:\d{4,5}$/))),
    }),
    localFileSystem: v.literal('request'),
  }),
  icons: v.array(icon),
  entrypoints: v.tuple([
    v.strictObject({
      type: v.literal('panel'),
      id: v.string(),
      label: v.strictObject({ default: v.string() }),
      minimumSize: v.strictObject({
        width: v.pipe(count, v.minValue(230)),
        height: v.pipe(count, v.minValue(200)),
      }),
      preferredDockedSize: size,
      preferredFloatingSize: size,
      icons: v.array(icon),
    }),
  ]),
});

describe('the .ccx', () => {
  let folder: string;
  let bytes: Uint8Array;
  let files: Record<string, Uint8Array>;
  const text = (name: string) => new TextDecoder().decode(files[name]);
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'acepp-ccx-'));
    const file = await packPhotoshop(builtPanel, folder);
    expect(path.extname(file)).toBe('.ccx');
    bytes = await readFile(file);
    files = unzipSync(bytes);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('has a manifest at its root that a strict schema accepts, and says what the top manifest says', () => {
    const manifest = v.parse(schema, JSON.parse(text('manifest.json')));
    expect(manifest).toMatchObject({ id: source.id, name: source.name, version: source.version });
    const { domains } = manifest.requiredPermissions.network;
    expect(domains).toEqual(source.ports.map((port) => `http://127.0.0.1:${port}`));
  });

  test.each([
    ['a list of hosts', { host: [] }],
    [
      '"all" for a domain',
      { requiredPermissions: { network: { domains: ['all'] }, localFileSystem: 'request' } },
    ],
    ['leave to make code from strings', { requiredPermissions: { allowCodeGenerationFromStrings: true } }],
    ['an unknown key', { scripts: [] }],
  ])('would be refused with %s', (_, change) => {
    const manifest = { ...JSON.parse(text('manifest.json')), ...change };
    expect(v.safeParse(schema, manifest).success).toBe(false);
  });

  test('holds what is needed and nothing else, under 300 kB', async () => {
    const manifest = v.parse(schema, JSON.parse(text('manifest.json')));
    const icons = [...manifest.icons, ...manifest.entrypoints[0].icons].flatMap((one) =>
      one.scale.map((scale) => ({
        ...one,
        scale,
        file: scale === 1 ? one.path : one.path.replace('.png', '@2x.png'),
      })),
    );
    const expected = [
      'manifest.json',
      'index.html',
      'panel.js',
      'panel.css',
      ...icons.map(({ file }) => file),
    ];
    expect(Object.keys(files).sort()).toEqual(expected.sort());
    expect(bytes.length).toBeLessThan(300_000);
    for (const { file, width, height, scale } of icons) {
      expect(await sharp(files[file]).metadata()).toMatchObject({
        width: width * scale,
        height: height * scale,
      });
    }
    const html = text('index.html');
    for (const [, name] of html.matchAll(/(?:src|href)="([^"]+)"/g))
      expect(Object.keys(files)).toContain(name);
  });

  test('makes no code from strings, has no source map and asks for no module that UXP has not', async () => {
    const script = text('panel.js');
    expect(script).not.toMatch(/\beval\s*\(|new Function\b|\bFunction\s*\(["'`]/);
    expect(script).not.toContain('sourceMappingURL');
    expect(text('panel.css')).not.toContain('sourceMappingURL');
    // Read by a parser: words such as "from" stand in texts too.
    const { metafile } = await build({
      stdin: { contents: script },
      bundle: true,
      write: false,
      external: ['*'],
      metafile: true,
    });
    const asked = Object.values(metafile.inputs).flatMap(({ imports }) => imports);
    expect(new Set(asked.map(({ kind, path }) => `${kind} ${path}`))).toEqual(
      new Set(['require-call photoshop', 'require-call uxp']),
    );
  });

  test('is the same for the same sources', async () => {
    const again = await readFile(await packPhotoshop(builtPanel, folder));
    expect(Buffer.from(again).equals(Buffer.from(bytes))).toBe(true);
  });
});
