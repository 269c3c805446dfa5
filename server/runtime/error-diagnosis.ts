import { stripVTControlCharacters } from 'node:util';

/** Why a provider does not work, in the words of what lies beneath ONNX Runtime, if that is found in what it writes. */
export function knownDiagnosis(said: string): string | undefined {
  const text = oneLine(said);
  for (const pattern of [
    // The loader: a library that is missing.
    /with error: (\S+: [^[]+?)(?= provider-unavailable| \[|$)/,
    /CUDA failure \d+: ([^;]+?) ;/,
    // A condition of WebGPU's that does not hold, and what it is for.
    /was false\. ([^.]+?) ?(?:\.|$)/,
  ]) {
    const reason = pattern.exec(text)?.[1];
    if (reason) return reason;
  }
  return undefined;
}

/** The same, or else all of it as one line. */
export function diagnose(said: string): string {
  return knownDiagnosis(said) ?? oneLine(said).replace(/\.$/, '');
}

function oneLine(said: string): string {
  return stripVTControlCharacters(said).replaceAll(/\s+/g, ' ').trim();
}
