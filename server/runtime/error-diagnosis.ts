import { stripVTControlCharacters } from 'node:util';

/**
 * Why a provider does not work, in the words of the layer beneath ONNX Runtime, if its output contains them.
 */
export function knownDiagnosis(said: string): string | undefined {
  const text = oneLine(said);
  for (const pattern of [
    // The loader: a missing library.
    /with error: (\S+: [^[]+?)(?= provider-unavailable| \[|$)/,
    /CUDA failure \d+: ([^;]+?) ;/,
    // A failed WebGPU condition, and what it is for.
    /was false\. ([^.]+?) ?(?:\.|$)/,
  ]) {
    const reason = pattern.exec(text)?.[1];
    if (reason) return reason;
  }
  return undefined;
}

/** `knownDiagnosis`, or else the whole output on one line. */
export function diagnose(said: string): string {
  return knownDiagnosis(said) ?? oneLine(said).replace(/\.$/, '');
}

function oneLine(said: string): string {
  return stripVTControlCharacters(said).replaceAll(/\s+/g, ' ').trim();
}
