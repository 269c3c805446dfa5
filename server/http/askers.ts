import type { FastifyRequest } from 'fastify';

/** Who asks to be paired, as far as a request tells. */
export interface Asker {
  /** For the person: "Figma". */
  readonly name: string;
  /** What can't be told apart has the same. Web pages can't set a User-Agent: it's a forbidden header for them in our preflight. */
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
  // Only what is no web page can send these: browsers write the header themselves.
  if (origin !== undefined && /^(file|uxp):/.test(origin)) return 'Photoshop';
  if (origin === undefined)
    return /\bUXP\b|Photoshop/i.test(agent) ? 'Photoshop' : 'A program on this machine';
  if (origin === 'null') return /\bFigma\//.test(agent) ? 'Figma' : 'Figma in a browser, or another web page';
  return 'The page of the companion';
}
