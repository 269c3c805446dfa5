import { randomBytes, randomUUID } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { CodedError } from '../../shared/errors.ts';
import { readJSON } from '../../shared/parse.ts';
import { keyId, tokenKey } from '../../shared/protocol/proof.ts';
import { asDiskError, writeDurably } from '../disk/durable.ts';
import { rename } from '../disk/rename.ts';

/** 128 bits in base64url; anything shorter can be guessed. */
const shortestToken = 22;

const panelSchema = v.object({
  id: v.pipe(v.string(), v.uuid()),
  /** Who requested it, such as "Photoshop". */
  name: v.string(),
  /** SHA-256 of the panel's token, which is not stored here. */
  key: v.pipe(v.string(), v.hexadecimal(), v.length(64)),
  /** ISO 8601. */
  created: v.string(),
});
const panelsSchema = v.array(panelSchema);

export type PairedPanel = Readonly<v.InferOutput<typeof panelSchema>>;

/**
 * Who may use the companion: programs of this user with the token in `home/token`, and panels with their own
 * tokens, whose keys are in `home/panels.json`.
 */
export class Tokens {
  readonly program: string;
  readonly #file: string;
  #panels: readonly PairedPanel[] = [];
  /** The file's text when it was last read, because `acepp tokens revoke` writes it too. */
  #read: string | undefined;
  readonly #announce: (text: string) => void;
  /** Keys by id. */
  #keys = new Map<string, string>();

  private constructor(home: string, program: string, announce: (text: string) => void) {
    this.program = program;
    this.#file = path.join(home, 'panels.json');
    this.#announce = announce;
  }

  /**
   * Reads the tokens of a home; creates the program token on the first start.
   * @throws CodedError `home-unsafe`, `disk-full`, `disk-unwritable`
   */
  static async open(home: string, announce: (text: string) => void): Promise<Tokens> {
    const tokens = new Tokens(home, await programToken(home), announce);
    await tokens.refresh();
    return tokens;
  }

  /** Whether a token is valid now. Call `refresh` first. */
  accepts(token: string): boolean {
    const key = tokenKey(token);
    return this.#keys.get(keyId(key)) === key;
  }

  /** The key with this id, to build a proof. */
  keyOf(id: string): string | undefined {
    return this.#keys.get(id);
  }

  /** Issues a token for a new panel; only the panel keeps it. */
  async issue(name: string): Promise<string> {
    const token = randomBytes(32).toString('base64url');
    const panel = { id: randomUUID(), name, key: tokenKey(token), created: new Date().toISOString() };
    await this.refresh();
    await this.#write([...this.#panels, panel]);
    return token;
  }

  /** Oldest first. */
  list(): readonly PairedPanel[] {
    return this.#panels;
  }

  /** @returns whether a panel with that id existed */
  async revoke(id: string): Promise<boolean> {
    await this.refresh();
    const left = this.#panels.filter((panel) => panel.id !== id);
    if (left.length === this.#panels.length) return false;
    await this.#write(left);
    return true;
  }

  /** Reads the panels again if another process has changed them. */
  async refresh(): Promise<void> {
    const found = versionOf(statSync(this.#file, { throwIfNoEntry: false }));
    if (found === this.#read) return;
    const text = await readFile(this.#file, 'utf8').catch(() => '[]');
    const panels = readJSON(panelsSchema, text);
    if (!panels) {
      const aside = `${this.#file}.damaged`;
      await rename(this.#file, aside);
      this.#announce(
        `The list of paired panels is damaged. It was moved to ${aside}: pair the panels again.`,
      );
    }
    this.#use(panels ?? []);
    this.#read = found;
  }

  async #write(panels: readonly PairedPanel[]): Promise<void> {
    await writeDurably(this.#file, `${JSON.stringify(panels, null, 2)}\n`);
    this.#read = versionOf(statSync(this.#file));
    this.#use(panels);
  }

  #use(panels: readonly PairedPanel[]): void {
    this.#panels = panels;
    const keys = [tokenKey(this.program), ...panels.map(({ key }) => key)];
    this.#keys = new Map(keys.map((key) => [keyId(key), key]));
  }
}

function versionOf(stats: Stats | undefined): string {
  return stats ? `${stats.ino} ${stats.mtimeMs} ${stats.size}` : 'none';
}

async function programToken(home: string): Promise<string> {
  const file = path.join(home, 'token');
  try {
    const known = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    const token = known.trim();
    if (token !== '') {
      if (token.length < shortestToken || !/^[\x21-\x7e]+$/.test(token)) throw weakToken(file, token);
      // It may have been copied here with the permissions of whoever copied it.
      await chmod(file, 0o600);
      return token;
    }
    const made = randomBytes(32).toString('base64url');
    await writeDurably(file, `${made}\n`);
    return made;
  } catch (cause) {
    throw asDiskError(cause);
  }
}

function weakToken(file: string, token: string): CodedError {
  return new CodedError('home-unsafe', {
    detail: `The token in ${file} has ${token.length} characters; it needs at least ${shortestToken} letters, digits and signs.`,
    remedy: 'Remove that file: the next start makes a new token.',
  });
}
