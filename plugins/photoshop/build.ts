/** Bundles the Photoshop panel, with the manifest and icons, into `dist/photoshop`, and packs it. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { zipSync } from 'fflate';
import sharp from 'sharp';
import { type IconName, iconNames } from '../panel/icons.ts';
import { iconThemes, photoshopManifest } from './manifest.ts';

const here = fileURLToPath(new URL('.', import.meta.url));

/** @param folder emptied first */
export async function buildPhotoshop(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.join(folder, 'icons'), { recursive: true });
  const shared = {
    bundle: true,
    minify: true,
    logLevel: 'warning',
    // No source map: it would need eval, for which the manifest requests no permission.
    sourcemap: false,
  } as const;
  await build({
    ...shared,
    entryPoints: { panel: path.join(here, 'main.tsx') },
    outdir: folder,
    platform: 'browser',
    // UXP supports `require`, which CommonJS output keeps, but not ES modules.
    format: 'cjs',
    target: 'es2020',
    external: ['photoshop', 'uxp'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
  });
  await build({
    ...shared,
    stdin: {
      contents: '@import "../panel/panel.css";\n@import "./theme.css";',
      loader: 'css',
      resolveDir: here,
    },
    outfile: path.join(folder, 'panel.css'),
  });
  await writeFile(path.join(folder, 'index.html'), await readFile(path.join(here, 'index.html')));
  const manifest = photoshopManifest();
  await writeFile(path.join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const { width, path: file, scale } of [...manifest.icons, ...manifest.entrypoints[0]!.icons]) {
    const colour = file.includes('-dark') ? iconThemes.dark.colour : iconThemes.light.colour;
    for (const factor of scale) {
      const name = factor === 1 ? file : file.replace('.png', `@${factor}x.png`);
      await sharp(Buffer.from(iconSVG(width * factor, colour)))
        .png({ palette: true })
        .toFile(path.join(folder, name));
    }
  }
  await writeButtonIcons(folder);
}

/** The panel's button icons, at twice their display size. */
async function writeButtonIcons(folder: string): Promise<void> {
  for (const name of iconNames) {
    for (const [theme, { colour }] of Object.entries(iconThemes)) {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 16 16" fill="none" stroke="${colour}" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"><path d="${iconPaths[name]}"/></svg>`;
      await sharp(Buffer.from(svg))
        .png()
        .toFile(path.join(folder, 'icons', `${name}-${theme}.png`));
    }
  }
}

const iconPaths: Readonly<Record<IconName, string>> = {
  up: 'M8 13V3M4 7 8 3 12 7',
  down: 'M8 3V13M4 9 8 13 12 9',
  close: 'M4 4 12 12M12 4 4 12',
  right: 'M6 4 10 8 6 12',
  open: 'M4 6 8 10 12 6',
};

/** A layer over another, with the regenerated area. */
function iconSVG(side: number, colour: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}" viewBox="0 0 24 24" fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round"><path d="M12 3 21 8 12 13 3 8Z"/><path d="M3 13 12 18 21 13"/><circle cx="12" cy="8" r="1.2" fill="${colour}"/></svg>`;
}

/**
 * Packs the built folder as an unsigned .ccx, a zip with the manifest at its root. Returns the file's path.
 */
export async function packPhotoshop(folder: string, into: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const entries: Record<string, Uint8Array> = {};
  for (const entry of names.filter((name) => name.isFile())) {
    const file = path.join(entry.parentPath, entry.name);
    entries[path.relative(folder, file).replaceAll(path.sep, '/')] = await readFile(file);
  }
  const { id, version } = photoshopManifest();
  const file = path.join(into, `${id}-${version}.ccx`);
  // One fixed date, so that the same sources give the same file.
  await writeFile(file, zipSync(entries, { level: 9, mtime: new Date('2026-01-01T00:00:00Z') }));
  return file;
}
