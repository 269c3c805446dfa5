import { connect, type Message } from '../channel.ts';
import type { SandboxCalls, SandboxEvents } from '../protocol.ts';

/** Connects to the half of the plugin that sees the document. Only listens to the parent frame. */
export function connectSandbox() {
  const sandbox = connect<SandboxCalls, SandboxEvents>((pluginMessage) =>
    parent.postMessage({ pluginMessage }, '*'),
  );
  window.addEventListener('message', (event: MessageEvent<{ pluginMessage?: Message } | null>) => {
    const message = event.source === parent ? event.data?.pluginMessage : undefined;
    if (message) sandbox.receive(message);
  });
  return sandbox;
}

export type Sandbox = ReturnType<typeof connectSandbox>;
