/**
 * `npm run docs:models`: writes the tables of docs/models.md from shared/conventions.ts. A test holds them equal.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Convention, type ConventionName, conventions } from '../shared/conventions.ts';
import { tasks } from '../shared/protocol/request.ts';

export const modelsPage = path.join(path.dirname(fileURLToPath(import.meta.url)), 'models.md');
const [begin, end] = ['<!-- begin tables -->\n', '<!-- end tables -->'];

const names = Object.keys(conventions) as ConventionName[];

function table(rows: readonly (readonly string[])[]): string {
  const [heads = [], ...body] = rows;
  const lines = [heads, heads.map(() => '---'), ...body];
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}

const wholeEdit: readonly [string, (convention: Convention) => string][] = [
  ['steps', ({ steps }) => String(steps)],
  ['guidance', ({ guidance }) => String(guidance)],
  ['tokens at most', ({ maxSequence }) => String(maxSequence)],
  ['context around the mask', ({ context }) => `${context} of its longer side`],
  [
    'a small reference',
    ({ keepPixels }) => (keepPixels ? 'keeps its pixels' : 'is scaled to the target’s height'),
  ],
  ['around a reference', ({ padding }) => (padding === 0 ? 'mid-grey' : 'black')],
  [
    '`{image1}` … `{image9}`',
    ({ namesReferences }) => (namesReferences ? 'sent as they are' : 'replaced by “the item”'),
  ],
  ['the instruction', ({ cleansText }) => (cleansText ? 'cleaned' : 'as it is')],
  ['grey of recolouring (R, G, B)', ({ greyWeights }) => greyWeights.join(', ')],
];

/** The tables as Markdown. */
export function modelTables(): string {
  const titles = names.map((name) => conventions[name].title);
  const settings = wholeEdit.map(([title, cell]) => [title, ...names.map((name) => cell(conventions[name]))]);
  const byTask = tasks.map((task) => [
    `\`${task}\``,
    ...names.map((name) => {
      const { repaintingScale, adapters, isTrained } = conventions[name].tasks[task];
      const sent = [repaintingScale, ...adapters.map((adapter) => `\`${adapter}\``)].join(', ');
      return isTrained ? sent : `(${sent})`;
    }),
  ]);
  return `${table([['', ...titles], ...settings])}\n${table([['task', ...titles], ...byTask])}`;
}

/** The page with its tables as the code has them. */
export function withTables(page: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/models.md has no “${begin.trim()}” before “${end}”`);
  return `${page.slice(0, from)}${begin}\n${modelTables()}\n${page.slice(to)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(modelsPage, withTables(readFileSync(modelsPage, 'utf8')));
}
