import { fuzz } from './fuzz.ts';
import { numbersFrom } from './options.ts';

const { requests, seed } = numbersFrom({ requests: 200_000, seed: 1 });
const { wrong, ...figures } = await fuzz(requests, seed);
console.log(
  JSON.stringify({ seed, ...figures, wrong: wrong.slice(0, 20), wrongInAll: wrong.length }, null, 2),
);
process.exitCode = wrong.length > 0 ? 1 : 0;
