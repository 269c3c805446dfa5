type Handlers = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };

/**
 * Event handlers as lower-case properties, to spread into an element. If elements declare no `on*`
 * properties, as in some hosts, Preact listens to `onClick` as "Click"; `onclick` works everywhere.
 */
export function on(handlers: Handlers): object {
  return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [`on${name}`, handler]));
}
