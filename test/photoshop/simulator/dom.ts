/** Removes what UXP lacks from a page before the plugin starts. */

const xhrOpen = XMLHttpRequest.prototype.open;
const xhrSend = XMLHttpRequest.prototype.send;

export interface Network {
  /** Scheme, host and port of every request, and whether it was allowed. */
  readonly requests: { readonly url: string; readonly allowed: boolean }[];
}

export interface NetworkRules {
  /** The manifest's network domains. */
  readonly domains: 'all' | readonly string[];
  readonly deniedNames?: readonly string[];
  readonly failingNames?: readonly string[];
}

/**
 * A list with an IP literal lets nothing through to it (UXP 27.10), though the literal be in it; "all" in a
 * list is no word.
 */
function isAllowed(url: URL, { domains, deniedNames = [] }: NetworkRules): boolean {
  if (deniedNames.includes(url.hostname)) return false;
  if (domains === 'all') return true;
  const isLiteral = /^[\d.]+$|^\[/.test(url.hostname);
  return !isLiteral && domains.includes(url.origin);
}

/**
 * UXP 7.3, as in Photoshop 25.2.
 * @param isModal whether Photoshop is blocked; a request is then a mistake
 */
export function cutDown(rules: NetworkRules, isModal: () => boolean): Network {
  const network: Network = { requests: [] };
  // Elements declare no handler properties: Preact's `onClick` would be heard as "Click", and never fire.
  for (const owner of [HTMLElement.prototype, SVGElement.prototype, Element.prototype, Document.prototype]) {
    for (const name of Object.getOwnPropertyNames(owner)) if (name.startsWith('on')) remove(owner, name);
  }
  for (const name of Object.getOwnPropertyNames(window)) if (name.startsWith('on')) remove(window, name);
  const absent = [
    'MutationObserver', 'matchMedia', 'EventSource', 'OffscreenCanvas', 'createImageBitmap', 'Worker',
    'SharedWorker', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'ReadableStream', 'structuredClone', 'indexedDB',
  ]; // biome-ignore format: a list
  for (const name of absent) remove(window, name);
  remove(Crypto.prototype, 'randomUUID');
  // A canvas draws shapes but returns no pixels.
  for (const name of ['drawImage', 'getImageData', 'putImageData', 'createImageData']) {
    remove(CanvasRenderingContext2D.prototype, name);
  }
  for (const name of ['toDataURL', 'toBlob', 'transferControlToOffscreen'])
    remove(HTMLCanvasElement.prototype, name);
  remove(Element.prototype, 'animate');
  // Since UXP 8.0, and a property that no UXP is known to have.
  for (const owner of [Element, Document, DocumentFragment]) remove(owner.prototype, 'replaceChildren');
  remove(XMLHttpRequestEventTarget.prototype, 'onloadend');
  // No abort signal and no streams: a plugin that relies on either must fail here.
  Object.assign(window, {
    fetch: () => Promise.reject(new TypeError('the simulator offers XMLHttpRequest alone')),
  });

  const denials = new WeakMap<XMLHttpRequest, string>();
  XMLHttpRequest.prototype.open = function (this: XMLHttpRequest, method: string, text: string | URL): void {
    const url = new URL(text);
    const allowed = isAllowed(url, rules);
    network.requests.push({ url: String(text), allowed: allowed && !isModal() });
    // In the host's words, as four public plugins quote them.
    if (!allowed) denials.set(this, `Permission denied to the url ${url.href}. Manifest entry not found.`);
    const fails = !allowed || isModal() || rules.failingNames?.includes(url.hostname);
    xhrOpen.call(this, method, fails ? 'http://127.0.0.1:9/closed' : String(text), true);
  };
  XMLHttpRequest.prototype.send = function (
    this: XMLHttpRequest,
    body?: XMLHttpRequestBodyInit | null,
  ): void {
    if (body instanceof Blob || body instanceof FormData || ArrayBuffer.isView(body)) {
      throw new TypeError('the simulator takes text and exact ArrayBuffers');
    }
    const denial = denials.get(this);
    if (denial) throw new Error(denial);
    xhrSend.call(this, body);
  };
  return network;
}

function remove(owner: object, name: string): void {
  if (!Reflect.deleteProperty(owner, name)) throw new Error(`${name} cannot be taken away`);
}

const unknownStyles = /^(grid|gap$|row-gap|column-gap|transition|animation|font$|place-|inset|aspect-ratio)/;
/** Structural pseudo-classes came with UXP 8.1; attribute selectors aren't known to work. */
const unknownSelectors = /:(first|last|nth|only)-|\[/;

/** Removes what UXP's style sheets don't support; returns what was removed. */
export function cutStyles(): string[] {
  const cut: string[] = [];
  const visit = (owner: CSSStyleSheet | CSSMediaRule): void => {
    for (let i = owner.cssRules.length - 1; i >= 0; i--) {
      const rule = owner.cssRules[i]!;
      if (rule instanceof CSSMediaRule) visit(rule);
      if (!(rule instanceof CSSStyleRule)) continue;
      if (unknownSelectors.test(rule.selectorText)) {
        cut.push(rule.selectorText);
        owner.deleteRule(i);
        continue;
      }
      for (const name of [...rule.style]) {
        const value = rule.style.getPropertyValue(name);
        if (!unknownStyles.test(name) && !/grid/.test(value)) continue;
        cut.push(`${rule.selectorText} { ${name}: ${value} }`);
        rule.style.removeProperty(name);
      }
    }
  };
  for (const sheet of document.styleSheets) visit(sheet);
  return cut;
}

/**
 * Controls are as high as the style sheet says and no higher: `rows` has no effect, and what has no height is
 * cut. A title in the head is drawn, as it is in some versions.
 */
export function flattenControls(): void {
  const style = document.createElement('style');
  style.textContent = `:where(textarea, input, select, button) { height: 12px; min-height: 0; overflow: hidden }
    :where(body, html) { height: 40px }
    head:has(title), title { display: block }`;
  document.head.prepend(style);
}
