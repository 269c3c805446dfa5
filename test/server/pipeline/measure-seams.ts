/** `npm run measure:seams [folder]`: the table of seams; with a folder, crops of 12 cases to look at. */
import path from 'node:path';
import sharp from 'sharp';
import { finish, grounds, percentile, seamCase, steps } from './seams.ts';

const cases = 40;
const [folder] = process.argv.slice(2);
const all = { 'as pasted': new Map<string, number[]>(), finished: new Map<string, number[]>() };
for (let number = 0; number < cases; number++) {
  const each = seamCase(number);
  const { finished, pasted } = finish(each);
  for (const [name, picture] of [
    ['as pasted', pasted],
    ['finished', finished],
  ] as const) {
    const { mean, grain } = steps(picture, each.picture, each.mask);
    for (const key of [grounds[number % grounds.length]!, 'all']) {
      for (const [kind, values] of [
        ['mean', mean],
        ['grain', grain],
      ] as const) {
        const list = all[name].get(`${key} ${kind}`) ?? [];
        list.push(...values);
        all[name].set(`${key} ${kind}`, list);
      }
    }
  }
  if (folder && number < 12) {
    const raw = { width: 256, height: 256, channels: 3 as const };
    const image = (data: Uint8Array | Uint16Array) => sharp(data, { raw }).png().toBuffer();
    const parts = await Promise.all([each.picture, pasted, finished].map(({ data }) => image(data)));
    await sharp({ create: { width: 784, height: 256, channels: 3, background: '#fff' } })
      .composite(parts.map((input, i) => ({ input, left: i * 264, top: 0 })))
      .png()
      .toFile(path.join(folder, `seam-${number}.png`));
  }
}
console.log('95th percentile of the step across the border, relative to the picture’s own');
for (const key of [...grounds, 'all']) {
  const at = (name: keyof typeof all, kind: string) =>
    percentile(all[name].get(`${key} ${kind}`) ?? [], 0.95).toFixed(2);
  console.log(
    `${key.padEnd(9)} mean ${at('as pasted', 'mean')} -> ${at('finished', 'mean')}, grain ${at('as pasted', 'grain')} -> ${at('finished', 'grain')}`,
  );
}
