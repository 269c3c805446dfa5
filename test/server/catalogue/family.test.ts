import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { familyOf, pocket } from '../../../server/catalogue/catalogue.ts';
import { arraysFolder, tinyModel } from '../models/arrays.ts';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function folderWith(write: (transformer: string) => void): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'acepp-family-'));
  folders.push(folder);
  write(path.join(folder, 'transformer.safetensors'));
  return folder;
}

describe('what a model was trained as', () => {
  it('is read from its transformer’s input channels', async () => {
    expect(await familyOf(tinyModel)).toBe('fill');
    const fft = folderWith((file) => cpSync(path.join(arraysFolder, 'flux448-weights.safetensors'), file));
    expect(await familyOf({ ...tinyModel, folder: fft })).toBe('fft');
    expect(await familyOf(pocket)).toBe('pocket');
  });

  it('defaults to FLUX.1-Fill-dev’s if the file is unreadable, which is reported on loading', async () => {
    const broken = folderWith((file) => writeFileSync(file, 'nothing'));
    expect(await familyOf({ ...tinyModel, folder: broken })).toBe('fill');
  });
});
