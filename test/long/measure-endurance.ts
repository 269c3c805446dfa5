/** `npm run measure:endurance`: many edits in a row, and what memory the companion and its engine have after the first 100 and at the end. */
import { RunningCompanion, squareEdit } from '../server/http/running-companion.ts';
import { numbersFrom, residentMB } from './options.ts';

const { edits } = numbersFrom({ edits: 2000 });
const companion = await RunningCompanion.start();
const memory = () => ({
  companionMB: residentMB(companion.child.pid!),
  engineMB: residentMB(companion.enginePid() ?? 0),
});
const started = performance.now();
let first: ReturnType<typeof memory> | undefined;
for (let done = 1; done <= edits; done++) {
  const id = await companion.send(squareEdit({ side: 64, request: { steps: 2, seed: done, preview: true } }));
  const last = (await companion.follow(id)).at(-1);
  if (last?.type !== 'done') throw new Error(JSON.stringify(last));
  await companion.ask(`/v1/edits/${id}/result`);
  if (done === 100) first = memory();
  if (done % 100 === 0) console.error(done, memory());
}
const secondsPerEdit = (performance.now() - started) / 1000 / edits;
console.log(
  JSON.stringify({
    edits,
    secondsPerEdit: Math.round(secondsPerEdit * 1000) / 1000,
    after100: first,
    atTheEnd: memory(),
  }),
);
await companion.remove();
