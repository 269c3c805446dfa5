import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../server/disk/paths.ts';

/** What the files of each folder may import of ours, besides their own folder. The longest matching folder counts. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  'plugins/panel': ['shared'],
  'plugins/picture': ['plugins/panel', 'shared'],
  'plugins/browser': ['plugins/picture', 'plugins/panel', 'shared'],
  'plugins/photoshop': ['plugins/panel', 'shared'],
  'plugins/figma': ['plugins/picture', 'plugins/panel', 'shared'],
  'server/disk': ['shared'],
  'server/graph': ['server/disk', 'shared'],
  'server/checkpoints': ['server/disk', 'shared'],
  'server/quantize': ['server/checkpoints', 'server/disk', 'shared'],
  'server/catalogue': ['server/quantize', 'server/checkpoints', 'server/disk', 'shared'],
  'server/nn': ['server/graph', 'server/checkpoints', 'shared'],
  'server/sampling': ['shared'],
  'server/models': ['server/nn', 'server/graph', 'server/checkpoints', 'server/sampling', 'shared'],
  'server/runtime': [
    'server/models',
    'server/nn',
    'server/graph',
    'server/catalogue',
    'server/quantize',
    'server/checkpoints',
    'server/sampling',
    'server/disk',
    'shared',
  ],
  'server/pictures': ['shared'],
  'server/pipeline': ['server/pictures', 'server/models', 'server/sampling', 'shared'],
  'server/install': [
    'server/runtime',
    'server/nn',
    'server/catalogue',
    'server/quantize',
    'server/checkpoints',
    'server/disk',
    'shared',
  ],
  'server/engine': [
    'server/pipeline',
    'server/pictures',
    'server/runtime',
    'server/models',
    'server/graph',
    'server/catalogue',
    'server/disk',
    'shared',
  ],
  'server/jobs': ['server/engine', 'server/pictures', 'server/disk', 'shared'],
  'server/autostart': ['server/disk', 'shared'],
  'server/http': [
    'server/jobs',
    'server/pictures',
    'server/engine',
    'server/runtime',
    'server/catalogue',
    'server/disk',
    'shared',
  ],
  'server/cli': ['server', 'shared'],
};

/** The one source of name, version and ports, and what is served as the description of the protocol. */
const everywhere = ['manifest.json', 'docs/openapi.json'];

const isUnder = (folder: string) => (file: string) => file.startsWith(`${folder}/`);

function sourcesUnder(folder: string): string[] {
  return readdirSync(path.join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/')));
}

const files = ['shared', 'plugins', 'server'].flatMap(sourcesUnder);
const read = (file: string): string => readFileSync(path.join(projectRoot, file), 'utf8');
const withoutComments = (file: string): string => read(file).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');

function specifiersOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].flatMap(([, name]) => name ?? []);
}

/** Files of ours that a file imports. */
function importsOf(file: string): string[] {
  return specifiersOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => path.posix.join(path.posix.dirname(file), specifier));
}

function folderOf(file: string): string | undefined {
  return Object.keys(mayImport)
    .filter((folder) => isUnder(folder)(file))
    .sort((a, b) => b.length - a.length)[0];
}

test('every source file lies in a folder whose imports are settled, and the map of CONTRIBUTING.md shows it', () => {
  expect(files.filter((file) => folderOf(file) === undefined)).toEqual([]);
  const map = /## Map[^\n]*\n\n((?: {4}.*\n|\n)+)/.exec(read('CONTRIBUTING.md'))?.[1] ?? '';
  const names = Object.keys(mayImport).map((folder) => `${path.posix.basename(folder)}/`);
  expect(names.filter((name) => !map.includes(name))).toEqual([]);
});

test('files are named in kebab-case', () => {
  const named = [...files, ...sourcesUnder('test')];
  expect(named.filter((file) => /[A-Z]/.test(file))).toEqual([]);
});

test('imports run one way', () => {
  const wrong = files.flatMap((file) => {
    const folder = folderOf(file) ?? '';
    const allowed = [folder, ...(mayImport[folder] ?? [])];
    return importsOf(file)
      .filter((target) => !everywhere.includes(target) && !allowed.some((part) => isUnder(part)(target)))
      .map((target) => `${file} -> ${target}`);
  });
  expect(wrong).toEqual([]);
});

test('no file imports itself by way of others', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, above: readonly string[]): void => {
    if (above.includes(file)) circles.push([...above.slice(above.indexOf(file)), file].join(' -> '));
    if (done.has(file) || above.includes(file)) return;
    for (const target of importsOf(file)) visit(target, [...above, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test('shared needs neither Node nor a page, so that UXP and Figma run it', () => {
  const shared = files.filter(isUnder('shared'));
  const foreign = /(?<![-\w.])(Buffer|process|document|window)\.|\beval\(|new Function/;
  expect(shared.filter((file) => specifiersOf(file).some((name) => name.startsWith('node:')))).toEqual([]);
  expect(shared.filter((file) => foreign.test(withoutComments(file)))).toEqual([]);
});

test('the panel names no host', () => {
  const naming = files
    .filter(isUnder('plugins/panel'))
    .filter((file) => /photoshop|figma|uxp\b/i.test(withoutComments(file)));
  expect(naming).toEqual([]);
});
