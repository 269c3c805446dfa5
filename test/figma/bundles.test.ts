import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import project from '../../manifest.json' with { type: 'json' };
import { type Built, built } from './driver.ts';
import { manifestSchema } from './simulator/manifest-rules.ts';
import { themeNames } from './simulator/theme.ts';

let plugin: Built;
let files: Record<'manifest.json' | 'main.js' | 'ui.html', string>;
beforeAll(async () => {
  plugin = await built();
  const read = (name: string) => readFile(path.join(plugin.folder, name), 'utf8');
  files = {
    'manifest.json': await read('manifest.json'),
    'main.js': await read('main.js'),
    'ui.html': await read('ui.html'),
  };
});
afterAll(() => plugin.remove());

describe('what Figma imports', () => {
  test('is three files, with a panel under 250 kB and a sandbox under 60 kB', async () => {
    expect((await readdir(plugin.folder)).sort()).toEqual(['main.js', 'manifest.json', 'ui.html']);
    expect(Buffer.byteLength(files['ui.html'])).toBeLessThan(250_000);
    expect(Buffer.byteLength(files['main.js'])).toBeLessThan(60_000);
  });

  test('has a manifest that Figma accepts, with every companion port by host name', () => {
    const manifest = v.parse(manifestSchema, JSON.parse(files['manifest.json']));
    expect(manifest.networkAccess.allowedDomains).toEqual(
      project.ports.map((port) => `http://localhost:${port}`),
    );
    expect(manifest).toMatchObject({ name: project.name, id: project.id, main: 'main.js', ui: 'ui.html' });
  });

  test('the sandbox runs without a DOM, a network or newer language features', () => {
    expect(files['main.js']).not.toMatch(/\b(document|window|XMLHttpRequest|localStorage|navigator)\s*[.[(]/);
    // Syntax after 2017: object spread in literals, optional catch, `?.`, `??`, class fields.
    expect(files['main.js']).not.toMatch(/\?\.[a-z_$[(]|\?\?|catch\{|\{\.\.\./i);
    const seen: string[] = [];
    const figma = new Proxy(
      { ui: {}, currentPage: { selection: [] } },
      {
        get: (target: Record<string, unknown>, name: string) =>
          target[name] ?? ((): void => void seen.push(name)),
      },
    );
    runInNewContext(files['main.js'], { figma, __html__: '' });
    expect(seen).toEqual(['showUI', 'on', 'on']);
  });

  test('the panel is one file: it loads nothing, and nothing closes its script early', () => {
    const html = files['ui.html'];
    expect(html.match(/<\/script>/gi)).toHaveLength(1);
    expect(html.match(/<\/style>/gi)).toHaveLength(1);
    expect(html).not.toMatch(/<(link|script)[^>]*\s(src|href)=/i);
    expect(html).not.toMatch(/@import|url\(\s*['"]?https?:/i);
  });

  test('every colour is Figma’s own', () => {
    const style = /<style>([\s\S]*?)<\/style>/.exec(files['ui.html'])![1]!;
    const used = [...new Set([...style.matchAll(/--figma-color-[a-z-]+/g)].map(([name]) => name))];
    expect(used.length).toBeGreaterThan(15);
    expect(used.filter((name) => !themeNames.includes(name))).toEqual([]);
    const asked = new Set([...style.matchAll(/var\((--[a-z-]+)\)/g)].map(([, name]) => name!));
    const given = new Set([...style.matchAll(/(--[a-z-]+):/g)].map(([, name]) => name!));
    expect([...asked].filter((name) => !given.has(name) && !themeNames.includes(name))).toEqual([]);
    expect(style.replaceAll(/rgba?\(0,\s*0,\s*0[^)]*\)/g, '')).not.toMatch(/#[0-9a-f]{3,8}\b/i);
  });
});
