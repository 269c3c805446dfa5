import { killCompanion, killEngine, moveClock } from './kills.ts';
import { numbersFrom } from './options.ts';

const { companion, engine, clock, seed } = numbersFrom({ companion: 300, engine: 100, clock: 50, seed: 1 });
const started = performance.now();
const reports = {
  companion: await killCompanion(companion, seed),
  engine: await killEngine(engine, seed),
  clock: await moveClock(clock, seed),
};
console.log(
  JSON.stringify(
    { seed, minutes: Math.round((performance.now() - started) / 6000) / 10, ...reports },
    null,
    2,
  ),
);
process.exitCode = Object.values(reports).some(({ wrong }) => wrong.length > 0) ? 1 : 0;
