/** Bundles the companion (dist/server), its page (dist/browser) and the Photoshop panel. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildPhotoshop } from './plugins/photoshop/build.ts';

/** Builds into dist/, which is emptied first. */
export async function buildAll(): Promise<void> {
  await rm('dist', { recursive: true, force: true });

  await build({
    entryPoints: { acepp: 'server/cli/acepp.ts', engine: 'server/engine/process.ts' },
    outdir: 'dist/server',
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Each command gets its own chunks, loaded when it runs.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    packages: 'external',
    sourcemap: true,
    logLevel: 'warning',
  });

  await mkdir('dist/browser', { recursive: true });
  await build({
    entryPoints: { panel: 'plugins/browser/main.tsx' },
    outdir: 'dist/browser',
    bundle: true,
    platform: 'browser',
    target: 'es2022',
    format: 'esm',
    // The PSD writer gets its own chunk, loaded when the user saves a PSD.
    splitting: true,
    minify: true,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    logLevel: 'warning',
  });
  await cp('plugins/browser/index.html', 'dist/browser/index.html');
  await cp('plugins/browser/assets', 'dist/browser/assets', { recursive: true });

  await buildPhotoshop('dist/photoshop');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildAll();
