/**
 * `npm run kills`: kills the companion, then its engine, at random moments under load, and moves the clock between
 * restarts. Every edit that was accepted has to be there afterwards, once. Prints what it found.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../../server/disk/paths.ts';
import type { Poll } from '../../shared/protocol/answers.ts';
import type { EditEvent } from '../../shared/protocol/events.ts';
import { RunningCompanion, squareEdit, temporaryHome } from '../server/http/running-companion.ts';
import { Random } from './random.ts';

const body = squareEdit({ side: 64, request: { steps: 3 } });
/** Edits that wait or run at any time. */
const load = 6;

export interface KillsReport {
  readonly kills: number;
  readonly accepted: number;
  readonly done: number;
  /** Edits that ran more than once, because they were interrupted. */
  readonly again: number;
  /** Given up after the third crash, as it should be. */
  readonly crashed: number;
  readonly wrong: readonly string[];
}

/** Sends edits, remembers which were accepted, and looks for each of them. */
class Load {
  readonly accepted = new Set<string>();
  readonly open = new Set<string>();
  readonly wrong: string[] = [];
  again = 0;
  crashed = 0;
  /** Sent without an answer, as the companion was killed: sent again under the same id. */
  #unsure: string | undefined;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  async send(companion: RunningCompanion): Promise<void> {
    const id = this.#unsure ?? this.#random.uuid();
    this.#unsure = id;
    const answer = await companion.put(body, id);
    if (answer.status !== 202) throw new Error(`PUT ${id}: ${answer.status} ${answer.body.toString()}`);
    this.accepted.add(id);
    this.open.add(id);
    this.#unsure = undefined;
  }

  async state(companion: RunningCompanion, id: string): Promise<Poll> {
    const answer = await companion.ask(`/v1/edits/${id}`);
    if (answer.status === 200) return answer.json<Poll>();
    this.open.delete(id);
    this.wrong.push(`${id} is lost: ${answer.body.toString()}`);
    return { id, state: 'failed', events: [], next: 0 };
  }

  /** Looks at what isn't known to be over, and fills up. */
  async keepUp(companion: RunningCompanion, refill = load): Promise<void> {
    for (const id of [...this.open]) {
      const { state, events } = await this.state(companion, id);
      if (state === 'queued' || state === 'running') continue;
      if (this.open.delete(id)) this.#judge(id, events.at(-1));
    }
    while (this.open.size < refill) await this.send(companion);
  }

  /** @param fetches the results, after which old edits may be removed to make room */
  async drain(companion: RunningCompanion, fetches = true): Promise<void> {
    while (this.open.size > 0) {
      await this.keepUp(companion, 0);
      await sleep(100);
    }
    for (const id of this.accepted) {
      const { events } = await this.state(companion, id);
      const ends = events.filter(({ type }) => ['done', 'failed', 'cancelled'].includes(type));
      if (ends.length !== 1) this.wrong.push(`${id} ended ${ends.length} times`);
      if (ends[0]?.type !== 'done' || !fetches) continue;
      const result = await companion.ask(`/v1/edits/${id}/result`);
      if (result.status !== 200) this.wrong.push(`the result of ${id}: ${result.status}`);
    }
  }

  report(kills: number): KillsReport {
    const { accepted, again, crashed, wrong } = this;
    return {
      kills,
      accepted: accepted.size,
      done: accepted.size - crashed - wrong.length,
      again,
      crashed,
      wrong,
    };
  }

  #judge(id: string, last: EditEvent | undefined): void {
    if (last?.type === 'done') {
      if ((last.results[0]?.runs ?? 1) > 1) this.again++;
    } else if (last?.type === 'failed' && last.problem.code === 'edit-crashed') {
      this.crashed++;
    } else {
      this.wrong.push(`${id} ended as ${JSON.stringify(last)}`);
    }
  }
}

/** An error of a connection that was cut is what a kill looks like from outside. */
const isCut = (error: unknown): boolean =>
  ['ECONNRESET', 'ECONNREFUSED', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');

/** @param mostSeconds from a start to its kill */
export async function killCompanion(kills: number, seed: number, mostSeconds = 5): Promise<KillsReport> {
  const random = new Random(seed);
  const edits = new Load(random);
  const home = await temporaryHome();
  for (let i = 0; i < kills; i++) {
    const companion = await RunningCompanion.start({ home });
    const kill = sleep(random.next() * mostSeconds * 1000).then(() => companion.stop('SIGKILL'));
    try {
      for (;;) {
        await edits.keepUp(companion);
        await sleep(20);
      }
    } catch (error) {
      if (!isCut(error)) throw error;
    }
    await kill;
    if ((i + 1) % 25 === 0) console.error(`${i + 1} kills, ${edits.accepted.size} edits accepted`);
  }
  const last = await RunningCompanion.start({ home });
  await edits.drain(last);
  await last.remove();
  return edits.report(kills);
}

export async function killEngine(kills: number, seed: number): Promise<KillsReport> {
  const random = new Random(seed);
  const edits = new Load(random);
  const companion = await RunningCompanion.start();
  let done = 0;
  for (let next = 0; done < kills; ) {
    await edits.keepUp(companion);
    await sleep(20);
    const engine = companion.enginePid();
    if (engine === undefined || performance.now() < next) continue;
    process.kill(engine, 'SIGKILL');
    done++;
    next = performance.now() + random.next() * 3000;
  }
  await edits.drain(companion);
  await companion.remove();
  return edits.report(done);
}

/** Restarts with the clock set back or ahead by up to three years. */
export async function moveClock(restarts: number, seed: number): Promise<KillsReport> {
  const random = new Random(seed);
  const edits = new Load(random);
  const home = await temporaryHome();
  const shim = path.join(projectRoot, 'test/long/moved-clock.cjs');
  const order: string[] = [];
  for (let i = 0; i <= restarts; i++) {
    const years = i === restarts ? 0 : (random.next() * 2 - 1) * 3;
    const env = {
      NODE_OPTIONS: `--require ${shim}`,
      ACEPP_TEST_CLOCK: String(Math.round(years * 365 * 86_400_000)),
    };
    const companion = await RunningCompanion.start({ home, env });
    const before = edits.accepted.size;
    await edits.keepUp(companion, 2);
    order.push(...[...edits.accepted].slice(before));
    if (i % 3 === 0) await edits.drain(companion, false);
    const newest = (await companion.ask('/v1/edits'))
      .json<{ edits: { id: string }[] }>()
      .edits.map(({ id }) => id);
    const expected = [...order].reverse().slice(0, newest.length);
    if (newest.join() !== expected.join()) edits.wrong.push(`restart ${i}: the history is in another order`);
    await companion.stop(random.pick(['SIGKILL', 'SIGTERM']));
  }
  const last = await RunningCompanion.start({ home });
  await edits.drain(last);
  await last.remove();
  return edits.report(restarts);
}
