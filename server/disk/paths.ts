import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';

/** The folder with manifest.json, the same whether this runs from source or from dist/. */
export const projectRoot = findUp(path.dirname(fileURLToPath(import.meta.url)), 'manifest.json');

function findUp(from: string, name: string): string {
  for (let folder = from; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, name))) return folder;
    if (folder === path.dirname(folder)) throw new Error(`${name} was not found above ${from}`);
  }
}

/** The data folder with the token, edits and models: `ACEPP_HOME`, or the platform's data folder. */
export function homeFolder(): string {
  return path.resolve(process.env.ACEPP_HOME || envPaths('acepp-layers', { suffix: '' }).data);
}
