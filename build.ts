/** Bundles the companion (dist/server), the page that it serves (dist/browser) and the Photoshop panel. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { build } from 'esbuild';
import { buildPhotoshop } from './plugins/photoshop/build.ts';

await rm('dist', { recursive: true, force: true });

await build({
  entryPoints: {
    main: 'server/main.ts',
    edit: 'server/edit.ts',
    models: 'server/models.ts',
    cuda: 'server/cuda.ts',
    quantize: 'server/quantize.ts',
    engine: 'server/engine/process.ts',
  },
  outdir: 'dist/server',
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
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
  // The PSD writer becomes a chunk of its own, loaded when a person saves one.
  splitting: true,
  minify: true,
  jsx: 'automatic',
  jsxImportSource: 'preact',
  logLevel: 'warning',
});
await cp('plugins/browser/index.html', 'dist/browser/index.html');
await cp('plugins/browser/assets', 'dist/browser/assets', { recursive: true });

await buildPhotoshop('dist/photoshop');
