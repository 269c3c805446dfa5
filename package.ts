/** `npm run package`: the panels of the hosts, ready to be installed, in dist/. */
import { buildPhotoshop, packPhotoshop } from './plugins/photoshop/build.ts';

await buildPhotoshop('dist/photoshop');
console.log(await packPhotoshop('dist/photoshop', 'dist'));
