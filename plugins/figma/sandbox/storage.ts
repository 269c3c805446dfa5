/**
 * The panel's storage. Figma shares a plugin's storage across all files, but an edit belongs to one of them,
 * since its layers' IDs only mean something there. So it is stored under the document's own ID, which is kept
 * in the document.
 */
export async function readStored(key: string): Promise<string | undefined> {
  const own = key === editKey ? ownKey(documentId()) : key;
  const kept: unknown = own === undefined ? undefined : await figma.clientStorage.getAsync(own);
  return typeof kept === 'string' ? kept : undefined;
}

export async function store({ key, value }: { readonly key: string; readonly value: string }): Promise<void> {
  if (key !== editKey) return figma.clientStorage.setAsync(key, value);
  const own = ownKey(documentId() || (value === '' ? '' : nameDocument()));
  if (own !== undefined) await figma.clientStorage.setAsync(own, value);
}

const editKey = 'edit';
const idKey = 'id';

function documentId(): string {
  return figma.root.getPluginData(idKey);
}

/** Only gives a document an ID once something is edited in it: writing one changes the document. */
function nameDocument(): string {
  const id = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  figma.root.setPluginData(idKey, id);
  return id;
}

function ownKey(id: string): string | undefined {
  return id === '' ? undefined : `${editKey}:${id}`;
}
