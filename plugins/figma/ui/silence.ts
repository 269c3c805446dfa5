import { CodedError } from '../../../shared/errors.ts';

/** What browsers call the right to reach this machine, the newer name first. */
const permissionNames = ['loopback-network', 'local-network-access'];

/**
 * Tells a browser that denies local access from a companion that is not running: both are the same instant network
 * error, but the browser says whether it would have let the request through. A frame cannot ask for it to be granted.
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
    // A browser that does not know the name has no such rule.
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
