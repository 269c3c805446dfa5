import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../server/paths.ts';

/** What the files of each folder may import of ours, besides their own folder. The longest matching folder counts. */
const mayImport: Record<string, readonly string[]> = {
  shared: [],
  'plugins/panel': ['shared'],
  'plugins/browser': ['plugins/panel', 'shared'],
  'plugins/photoshop': ['plugins/panel', 'shared'],
  'plugins/figma': ['plugins/panel', 'shared'],
  'server/graph': ['shared'],
  'server/weights': ['server/graph', 'shared'],
  'server/sampling': ['shared'],
  'server/models': ['server/graph', 'server/weights', 'shared'],
  'server/pipeline': ['server/models', 'server/sampling', 'shared'],
  'server/engine': ['server/pipeline', 'server/models', 'server/weights', 'server/graph', 'shared'],
  'server/jobs': ['server/engine', 'server/pipeline', 'shared'],
  'server/install': ['server/engine', 'server/weights', 'shared'],
  'server/cli': [
    'server/install',
    'server/weights',
    'server/jobs',
    'server/engine',
    'server/pipeline',
    'shared',
  ],
  'server/http': ['server/jobs', 'server/engine', 'server/weights', 'shared'],
};

/** For every part of the companion: where the project and the person's data lie, and who holds what. */
const everywhere = ['server/paths.ts', 'server/hold.ts', 'manifest.json'];

const files = Object.keys(mayImport).flatMap((folder) =>
  sourcesUnder(folder).map((file) => ({ folder, file })),
);

function sourcesUnder(folder: string): string[] {
  return readdirSync(path.join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/')));
}

function importsOf(file: string): string[] {
  const source = readFileSync(path.join(projectRoot, file), 'utf8');
  return [...source.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
}

describe('imports run one way', () => {
  test.each(files)('$file', ({ folder, file }) => {
    const allowed = [folder, ...mayImport[folder]!];
    const wrong = importsOf(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier)))
      .filter(
        (target) => !everywhere.includes(target) && !allowed.some((part) => target.startsWith(`${part}/`)),
      );
    expect(wrong).toEqual([]);
  });
});

describe('shared runs in UXP and Figma', () => {
  test.each(files.filter(({ folder }) => folder === 'shared'))('$file needs neither Node nor a page', ({
    file,
  }) => {
    const source = readFileSync(path.join(projectRoot, file), 'utf8');
    expect(importsOf(file).filter((specifier) => specifier.startsWith('node:'))).toEqual([]);
    expect(source).not.toMatch(/\b(Buffer|process|document|window)\.|\beval\(|new Function/);
  });
});

test('the panel names no host', () => {
  const panel = files.filter(({ folder }) => folder === 'plugins/panel');
  const naming = panel.filter(({ file }) =>
    /photoshop|figma|uxp\b/i.test(
      readFileSync(path.join(projectRoot, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''),
    ),
  );
  expect(naming).toEqual([]);
});
