import { connect, type Message } from '../channel.ts';
import type { SandboxCalls, SandboxEvents } from '../protocol.ts';

/** The half of the plugin that sees the document. Only the frame around this one is heard. */
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
