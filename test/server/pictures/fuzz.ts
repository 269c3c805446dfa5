import { readDamaged } from './malformed.ts';

const [count = 20_000, seed = 1] = process.argv.slice(2).map(Number);
const part = 1000;
const totals: Record<string, number> = {};
for (let done = 0; done < count; done += part) {
  const { codes, wrong } = await readDamaged(Math.min(part, count - done), seed + done);
  for (const [code, times] of Object.entries(codes)) totals[code] = (totals[code] ?? 0) + times;
  for (const text of wrong) console.log(text);
  if (wrong.length > 0) process.exitCode = 1;
  globalThis.gc?.();
  console.log(done + part, JSON.stringify(totals), `${Math.round(process.memoryUsage.rss() / 1e6)} MB`);
}
