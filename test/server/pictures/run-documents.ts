import { RunningCompanion } from '../http/running-companion.ts';
import { seeded } from './malformed.ts';
import { runDocuments } from './random-documents.ts';

const [count = 300, seed = 1] = process.argv.slice(2).map(Number);
const companion = await RunningCompanion.start();
try {
  const faults = await runDocuments(companion, count, seeded(seed), console.log);
  console.log(`${count - faults.length} of ${count} as they were.`);
  for (const text of faults) console.log(text);
  if (faults.length > 0) process.exitCode = 1;
} finally {
  await companion.stop();
}
