import type { FastifyRequest } from 'fastify';

/** Who is asking to pair, as far as the request shows. */
export interface Asker {
  /** Shown to the user, such as "Figma". */
  readonly name: string;
  /**
   * Askers that can't be distinguished share a key. Web pages can't set a User-Agent:
   * it's a forbidden header for them in our preflight.
   */
  readonly key: string;
}

export function askerOf({ headers }: FastifyRequest): Asker {
  const { origin } = headers;
  const agent = headers['user-agent'] ?? '';
  return { name: nameOf(origin, agent), key: `${originKind(origin)} ${agent}` };
}

function originKind(origin: string | undefined): string {
  if (origin === undefined || origin === 'null') return String(origin);
  return origin.startsWith('http') ? 'page' : 'panel';
}

function nameOf(origin: string | undefined, agent: string): string {
  // Only origins that no web page can send: browsers write the header themselves.
  if (origin !== undefined && /^(file|uxp):/.test(origin)) return 'Photoshop';
  if (origin === undefined)
    return /\bUXP\b|Photoshop/i.test(agent) ? 'Photoshop' : 'A program on this machine';
  if (origin === 'null') return /\bFigma\//.test(agent) ? 'Figma' : 'Figma in a browser, or another web page';
  return 'The page of the companion';
}
