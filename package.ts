/** `npm run package`: writes the Photoshop and Figma plugins into dist/, ready to install. */
import manifest from './manifest.json' with { type: 'json' };
import { buildFigma } from './plugins/figma/build.ts';
import { buildPhotoshop, packPhotoshop } from './plugins/photoshop/build.ts';

await buildPhotoshop('dist/photoshop');
console.log(await packPhotoshop('dist/photoshop', 'dist'));
await buildFigma(manifest, 'dist/figma');
console.log('dist/figma');
