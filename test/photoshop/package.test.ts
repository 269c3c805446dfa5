import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { unzipSync } from 'fflate';
import sharp from 'sharp';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import source from '../../manifest.json' with { type: 'json' };
import { iconNames } from '../../plugins/panel/icons.ts';
import { packPhotoshop } from '../../plugins/photoshop/build.ts';
import { companionAddresses } from '../../plugins/photoshop/manifest.ts';
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

/** Adobe's documented version 5 manifest, reduced to what this plugin needs: an unknown key fails. */
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
    // Photoshop 2026 rejects 127.0.0.1 in a list, and `localhost` alone fails on some Macs.
    network: v.strictObject({ domains: v.literal('all') }),
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

  test('has a manifest at its root that passes a strict schema and matches the root manifest', () => {
    const manifest = v.parse(schema, JSON.parse(text('manifest.json')));
    expect(manifest).toMatchObject({ id: source.id, name: source.name, version: source.version });
  });

  test.each([
    ['a list of hosts', { host: [] }],
    [
      '"all" for a domain',
      { requiredPermissions: { network: { domains: ['all'] }, localFileSystem: 'request' } },
    ],
    [
      'a list of addresses',
      {
        requiredPermissions: {
          network: { domains: ['http://127.0.0.1:47810', 'http://localhost:47810'] },
          localFileSystem: 'request',
        },
      },
    ],
    ['leave to make code from strings', { requiredPermissions: { allowCodeGenerationFromStrings: true } }],
    ['an unknown key', { scripts: [] }],
  ])('would be rejected with %s', (_, change) => {
    const manifest = { ...JSON.parse(text('manifest.json')), ...change };
    expect(v.safeParse(schema, manifest).success).toBe(false);
  });

  test('contains what is needed and nothing else, under 300 kB', async () => {
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
      ...iconNames.flatMap((name) => [`icons/${name}-dark.png`, `icons/${name}-light.png`]),
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
    expect(html).not.toMatch(/<title/);
    for (const [, name] of html.matchAll(/(?:src|href)="([^"]+)"/g))
      expect(Object.keys(files)).toContain(name);
  });

  test('evaluates no strings, has no source map and requires no module that UXP lacks', async () => {
    const script = text('panel.js');
    expect(script).not.toMatch(/\beval\s*\(|new Function\b|\bFunction\s*\(["'`]/);
    expect(script).not.toContain('sourceMappingURL');
    expect(text('panel.css')).not.toContain('sourceMappingURL');
    // Use a parser: words such as "from" also occur in strings.
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

  test('contains no address but the companion’s, since the manifest allows all', () => {
    const addresses = source.ports.flatMap((port) => [
      `http://localhost:${port}`,
      `http://127.0.0.1:${port}`,
    ]);
    expect(companionAddresses).toEqual(addresses);
    // Names of XML, which nothing is loaded from, and the base by which axios reads relative addresses, which
    // it is given none of (axios, lib/platform/common/utils.js).
    const names =
      /^(http:\/\/www\.w3\.org\/(1998\/Math\/MathML|1999\/xhtml|1999\/02\/22-rdf-syntax-ns#|2000\/svg)|https:\/\/aceplusplus\.org\/ns\/layers\/1\.0\/|http:\/\/localhost)$/;
    const scripts = Object.keys(files).filter((name) => /\.(js|css|html)$/.test(name));
    const found = scripts.flatMap((name) => text(name).match(/\b(https?|wss?):\/\/[^"'`\s)<>\\]*/g) ?? []);
    // As written in the bundle: the ports come from its one list.
    const own = found.filter((address) => !names.test(address));
    expect(own.map((address) => address.replace(/\$\{\w+\}$/, 'PORT')).sort()).toEqual([
      'http://127.0.0.1:PORT',
      'http://localhost:PORT',
    ]);
    expect(text('panel.js')).toContain(`[${source.ports.join(',')}]`);
    // Addresses can also be concatenated, but not without one of these.
    const others = /new (WebSocket|EventSource|Worker)\b|sendBeacon|importScripts\(/;
    expect(others.exec(text('panel.js'))).toBeNull();
  });

  test('uses nothing detectable that UXP 7.3 lacks', () => {
    const script = text('panel.js');
    expect(script).not.toMatch(/\\p\{/);
    expect(script).not.toContain('.replaceChildren(');
    expect(text('panel.css')).not.toMatch(/:(first|last|nth|only)-|\[[a-z-]+[=\]]/);
  });

  test('is the same for the same sources', async () => {
    const again = await readFile(await packPhotoshop(builtPanel, folder));
    expect(Buffer.from(again).equals(Buffer.from(bytes))).toBe(true);
  });
});
