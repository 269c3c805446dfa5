import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import axios, { isAxiosError, type Method } from 'axios';
import { Command } from 'commander';
import manifest from '../../manifest.json' with { type: 'json' };
import { CodedError } from '../../shared/errors.ts';
import { parseMessage } from '../../shared/parse.ts';
import {
  type EditSummary,
  type Health,
  healthSchema,
  historySchema,
  queueSchema,
} from '../../shared/protocol/answers.ts';
import { problemSchema } from '../../shared/protocol/problem.ts';
import { keyId, proofOf, tokenKey } from '../../shared/protocol/proof.ts';
import { homeFolder } from '../disk/paths.ts';
import { reportFailure } from './failure.ts';
import { instructionIn, keptEdits } from './unsaved.ts';

/**
 * `acepp edits list | queue | cancel | move | again | pin | unpin | remove`: manages the edits of the running
 * companion.
 * @returns the exit code
 */
export async function edits(args: readonly string[]): Promise<number> {
  const command = new Command('acepp edits')
    .description('Lists, cancels, reorders and removes the edits of the companion that runs.')
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  const sub = (name: string) =>
    command
      .command(name)
      .allowExcessArguments(false)
      .configureOutput({ writeErr: () => {} })
      .exitOverride();
  sub('list')
    .description('print the newest 50 edits that contain all the words')
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const companion = await Companion.find();
      const answer = await companion.ask('GET', `/v1/edits?q=${encodeURIComponent(words.join(' '))}`);
      parseMessage(historySchema, answer, 'The history').edits.forEach(print);
    });
  sub('unsaved')
    .description('print finished edits of the command line whose file could not be written; see "acepp save"')
    .action(async () => {
      for (const { id, folder, finished, unsaved } of await keptEdits()) {
        if (unsaved) console.log(`${id}  ${finished}  ${await instructionIn(folder)}`);
      }
    });
  sub('queue')
    .description('print what runs and waits, in order')
    .action(async () => {
      const answer = await (await Companion.find()).ask('GET', '/v1/queue');
      parseMessage(queueSchema, answer, 'The queue').edits.forEach(print);
    });
  sub('cancel')
    .description('cancel an edit, or "all"')
    .argument('<id>')
    .action(async (id: string) => {
      const companion = await Companion.find();
      await companion.ask('DELETE', id === 'all' ? '/v1/queue' : `/v1/edits/${id}`);
    });
  sub('move')
    .description('let a waiting edit run after so many others; 0 is next')
    .argument('<id>')
    .argument('<position>')
    .action(async (id: string, position: string) => {
      await (await Companion.find()).ask('PUT', `/v1/queue/${id}`, { position: Number(position) });
    });
  sub('again')
    .description('run an edit again as a new one, and print its id')
    .argument('<id>')
    .action(async (id: string) => {
      const again = randomUUID();
      await (await Companion.find()).ask('PUT', `/v1/edits/${again}?from=${id}`);
      console.log(again);
    });
  for (const [name, method, text] of [
    ['pin', 'PUT', 'keep an edit whatever the budget says'],
    ['unpin', 'DELETE', 'let an edit go with the others'],
  ] as const) {
    sub(name)
      .description(text)
      .argument('<id>')
      .action(async (id: string) => {
        await (await Companion.find()).ask(method, `/v1/edits/${id}/pin`);
      });
  }
  sub('remove')
    .description('remove an edit that is over, with its files')
    .argument('<id>')
    .action(async (id: string) => {
      await (await Companion.find()).ask('DELETE', `/v1/history/${id}`);
    });
  try {
    await command.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (thrown) {
    return reportFailure('edits', thrown);
  }
}

function print({ id, state, created, pinned, request }: EditSummary): void {
  const instruction = request.instruction.replaceAll(/\s+/g, ' ').slice(0, 60);
  console.log(`${id}  ${created}  ${state.padEnd(9)} ${pinned ? '*' : ' '} ${instruction}`);
}

/** The companion for this home folder, once it has proved its identity. */
class Companion {
  readonly #url: string;
  readonly #token: string;

  private constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  /** @throws CodedError `companion-gone` */
  static async find(): Promise<Companion> {
    const token = await readFile(path.join(homeFolder(), 'token'), 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
    const ports = process.env.ACEPP_PORT ? [Number(process.env.ACEPP_PORT)] : manifest.ports;
    for (const port of token === '' ? [] : ports) {
      const url = `http://127.0.0.1:${port}`;
      if (await proves(url, port, tokenKey(token))) return new Companion(url, token);
    }
    throw new CodedError('companion-gone', {
      detail: `No companion of ${homeFolder()} answers on ${ports.length > 1 ? 'the ports' : 'port'} ${ports.join(', ')}.`,
      remedy: 'Start it with "acepp start".',
    });
  }

  async ask(method: Method, pathname: string, data?: object): Promise<unknown> {
    try {
      const headers = { authorization: `Bearer ${this.#token}` };
      const url = this.#url + pathname;
      return (
        await axios.request<unknown>({
          method,
          url,
          headers,
          proxy: false,
          timeout: 15_000,
          ...(data && { data }),
        })
      ).data;
    } catch (thrown) {
      if (!isAxiosError<unknown>(thrown) || !thrown.response) throw thrown;
      throw CodedError.fromProblem(
        parseMessage(problemSchema, thrown.response.data, 'The error of the companion'),
      );
    }
  }
}

async function proves(url: string, port: number, key: string): Promise<boolean> {
  const nonce = randomBytes(16).toString('hex');
  try {
    const params = { nonce, key: keyId(key) };
    const { data } = await axios.get<unknown>(`${url}/v1/health`, { params, proxy: false, timeout: 4000 });
    const health: Health = parseMessage(healthSchema, data, 'Health');
    return health.proof === proofOf(key, nonce, port);
  } catch {
    return false;
  }
}
