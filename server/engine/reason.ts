import { stripVTControlCharacters } from 'node:util';

/**
 * Why a provider does not work, out of what ONNX Runtime writes: the library that is missing, or what CUDA says; else all of it as one
 * line.
 */
export function reasonOf(said: string): string {
  const text = stripVTControlCharacters(said).replaceAll(/\s+/g, ' ').trim();
  const missing = /with error: (\S+: [^[]+?)(?= provider-unavailable| \[|$)/.exec(text)?.[1];
  const failure = /CUDA failure \d+: ([^;]+?) ;/.exec(text)?.[1];
  return (missing ?? failure ?? text).replace(/\.$/, '');
}
