import { CodedError } from '../../../shared/errors.ts';

/** The browsers' names for the permission to reach this machine, newest first. */
const permissionNames = ['loopback-network', 'local-network-access'];

/**
 * Distinguishes a browser that denies local access from a companion that isn't running: both give the same
 * instant network error, but the browser reports whether the permission is denied. A frame can't request the
 * permission.
 */
export async function explainSilence(): Promise<CodedError | undefined> {
  for (const name of permissionNames) {
    const state = await permissionState(name);
    if (state === undefined) continue;
    return state === 'granted' ? undefined : denied();
  }
  return undefined;
}

async function permissionState(name: string): Promise<PermissionState | undefined> {
  try {
    return (await navigator.permissions.query({ name: name as PermissionName })).state;
  } catch {
    // A browser that doesn't know the name has no such restriction.
    return undefined;
  }
}

function denied(): CodedError {
  return new CodedError('local-access-denied', {
    detail: 'This browser lets plugins reach nothing on your machine, so the companion cannot be asked.',
    remedy:
      'Open the file in the Figma desktop app. In a browser, allow figma.com "Local network access" in the site settings, then open the plugin again.',
  });
}
