/**
 * How a companion proves to a panel that it knows the panel's token, before the panel sends it: any program
 * may listen on the companion's port. HMAC-SHA-256 (RFC 2104) over the panel's nonce and the port that it
 * asked, so that another program can't relay the proof of a companion on another port. `crypto.subtle` isn't
 * available in every host.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';

/** SHA-256 of a token, in hexadecimal: all that a companion stores of a panel's token. */
export function tokenKey(token: string): string {
  return bytesToHex(sha256(bytesOf(token)));
}

/** Identifies a key without revealing it. */
export function keyId(key: string): string {
  return bytesToHex(sha256(bytesOf(`acepp key ${key}`))).slice(0, 32);
}

/**
 * @param nonce the panel's, new for each proof
 * @param port the one the panel asked
 */
export function proofOf(key: string, nonce: string, port: number): string {
  return bytesToHex(hmac(sha256, hexToBytes(key), bytesOf(`acepp proof ${nonce} ${port}`)));
}

/** ASCII only, because older hosts have no TextEncoder. */
function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
