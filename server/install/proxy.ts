/**
 * Proxies from the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as curl reads them
 * (curl.se/docs/manpage.html).
 */
import http from 'node:http';
import https from 'node:https';
import { Agent, buildConnector } from 'undici';
import { CodedError } from '../../shared/errors.ts';

export interface Proxy {
  readonly agent: Agent;
  /** `HTTPS_PROXY, proxy.lab:3128`: without user name and password. */
  readonly name: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** One agent per proxy address, so that connections are reused. */
const agents = new Map<string, Agent>();

/**
 * The proxy for an address; none for this machine, or if NO_PROXY lists the host.
 * @throws CodedError `request-invalid` if the variable does not name a usable proxy; the message never
 * contains its password
 */
export function proxyFor(url: URL, env: Environment = process.env): Proxy | undefined {
  const [variable, text] = setting(url.protocol, env);
  if (!text || isLoopback(url.hostname) || isExcepted(url, env.no_proxy ?? env.NO_PROXY ?? ''))
    return undefined;
  const address = parse(text, variable);
  const { href, host } = address;
  const name = `${variable}, ${host}`;
  const agent = agents.get(href) ?? new Agent({ connect: tunnel(address, name) });
  agents.set(href, agent);
  return { agent, name };
}

/**
 * Connects through the proxy with CONNECT. (undici's own ProxyAgent, 6.29, carries on after a refusal, which
 * loses the status.)
 */
function tunnel(proxy: URL, name: string): buildConnector.connector {
  const secure = buildConnector({});
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return (options, callback) => {
    const target = `${options.hostname}:${options.port || (options.protocol === 'https:' ? 443 : 80)}`;
    const request = (proxy.protocol === 'https:' ? https : http).request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path: target,
      headers: {
        host: target,
        ...(proxy.username && {
          'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`,
        }),
      },
      agent: false,
    });
    request.once('error', (cause) => callback(cause, null));
    request.once('connect', ({ statusCode }, socket) => {
      if (statusCode !== 200) {
        socket.destroy();
        callback(refusedBy(name, statusCode), null);
      } else if (options.protocol === 'https:') {
        secure({ ...options, httpSocket: socket }, callback);
      } else {
        callback(null, socket);
      }
    });
    request.end();
  };
}

function refusedBy(name: string, status: number | undefined): Error {
  if (status !== 407) return new Error(`it answered ${status}`);
  return new CodedError('hub-refused', {
    detail: `The proxy (${name}) wants another user or password (407).`,
    remedy:
      'Put them into its address, as in http://user:password@proxy:3128, with special characters percent-encoded.',
  });
}

/** Lower case takes precedence. */
function setting(protocol: string, env: Environment): readonly [string, string | undefined] {
  const scheme = protocol.replace(':', '');
  const names = [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, 'all_proxy', 'ALL_PROXY'];
  const name = names.find((candidate) => env[candidate]) ?? names[1]!;
  return [name, env[name]];
}

function parse(text: string, variable: string): URL {
  const address = asURL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  if (address && /^socks/.test(address.protocol)) {
    throw new CodedError('request-invalid', {
      detail: `${variable} names a SOCKS proxy, ${address.protocol}//${address.host}, and only HTTP proxies can be used.`,
      remedy: `Let ${variable} name an HTTP proxy, or unset it.`,
    });
  }
  if (address && (address.protocol === 'http:' || address.protocol === 'https:')) return address;
  throw new CodedError('request-invalid', {
    detail: `${variable} is set, but is not the address of a proxy.`,
    remedy: 'Let it be an address such as http://proxy.lab:3128, or unset it.',
  });
}

function asURL(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** Requests to this machine never leave it. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Entries are hosts, which include their subdomains, with or without a port; `*` matches everything. */
function isExcepted({ hostname, port, protocol }: URL, exceptions: string): boolean {
  const actualPort = port || (protocol === 'https:' ? '443' : '80');
  return exceptions
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, host = '', wantedPort] = /^(?:\*?\.)?(.+?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
      if (wantedPort && wantedPort !== actualPort) return false;
      return hostname === host || hostname.endsWith(`.${host}`);
    });
}
