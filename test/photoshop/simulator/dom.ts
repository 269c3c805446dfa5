/** Takes from a page what UXP's has not, before the plugin starts. */

const xhrOpen = XMLHttpRequest.prototype.open;
const xhrSend = XMLHttpRequest.prototype.send;

export interface Network {
  /** Scheme, host and port of every request, and whether it was allowed. */
  readonly requests: { readonly url: string; readonly allowed: boolean }[];
}

/**
 * @param domains of the manifest
 * @param isModal whether Photoshop stands still; a request then is a mistake
 */
export function cutDown(domains: readonly string[], isModal: () => boolean): Network {
  const network: Network = { requests: [] };
  // Elements declare no handler properties: Preact's `onClick` would be heard as "Click", and never fire.
  for (const owner of [HTMLElement.prototype, SVGElement.prototype, Element.prototype, Document.prototype]) {
    for (const name of Object.getOwnPropertyNames(owner)) if (name.startsWith('on')) remove(owner, name);
  }
  for (const name of Object.getOwnPropertyNames(window)) if (name.startsWith('on')) remove(window, name);
  const absent = [
    'MutationObserver', 'matchMedia', 'EventSource', 'OffscreenCanvas', 'createImageBitmap', 'Worker',
    'SharedWorker', 'TextEncoder', 'TextDecoder', 'ReadableStream', 'structuredClone', 'indexedDB',
  ]; // biome-ignore format: a list
  for (const name of absent) remove(window, name);
  remove(Crypto.prototype, 'randomUUID');
  // A canvas draws shapes and gives no pixels.
  for (const name of ['drawImage', 'getImageData', 'putImageData', 'createImageData']) {
    remove(CanvasRenderingContext2D.prototype, name);
  }
  for (const name of ['toDataURL', 'toBlob', 'transferControlToOffscreen'])
    remove(HTMLCanvasElement.prototype, name);
  remove(Element.prototype, 'animate');
  // No signal, no stream: a plugin that relies on either must fail here.
  Object.assign(window, {
    fetch: () => Promise.reject(new TypeError('the simulator offers XMLHttpRequest alone')),
  });

  XMLHttpRequest.prototype.open = function (this: XMLHttpRequest, method: string, url: string | URL): void {
    const { origin } = new URL(url);
    const allowed = domains.includes(origin) && !isModal();
    network.requests.push({ url: String(url), allowed });
    // What is not allowed fails as a host that is not there, and says nothing else.
    xhrOpen.call(this, method, allowed ? String(url) : 'http://127.0.0.1:9/denied', true);
  };
  XMLHttpRequest.prototype.send = function (
    this: XMLHttpRequest,
    body?: XMLHttpRequestBodyInit | null,
  ): void {
    if (body instanceof Blob || body instanceof FormData || ArrayBuffer.isView(body)) {
      throw new TypeError('the simulator takes text and exact ArrayBuffers');
    }
    xhrSend.call(this, body);
  };
  return network;
}

function remove(owner: object, name: string): void {
  if (!Reflect.deleteProperty(owner, name)) throw new Error(`${name} cannot be taken away`);
}

const unknownStyles = /^(grid|gap$|row-gap|column-gap|transition|animation|font$|place-|inset|aspect-ratio)/;

/** What UXP's style sheets do not know has no effect; gives what was there. */
export function cutStyles(): string[] {
  const cut: string[] = [];
  const visit = (rules: CSSRuleList): void => {
    for (const rule of rules) {
      if (rule instanceof CSSMediaRule) visit(rule.cssRules);
      if (!(rule instanceof CSSStyleRule)) continue;
      for (const name of [...rule.style]) {
        const value = rule.style.getPropertyValue(name);
        if (!unknownStyles.test(name) && !/grid/.test(value)) continue;
        cut.push(`${rule.selectorText} { ${name}: ${value} }`);
        rule.style.removeProperty(name);
      }
    }
  };
  for (const sheet of document.styleSheets) visit(sheet.cssRules);
  return cut;
}
