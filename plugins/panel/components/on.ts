type Handlers = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };

/**
 * Event handlers as lower-case properties, to be spread into an element: Preact listens to `onClick` as "Click"
 * where elements declare no `on*` properties, as in some hosts; `onclick` is heard in all of them.
 */
export function on(handlers: Handlers): object {
  return Object.fromEntries(Object.entries(handlers).map(([name, handler]) => [`on${name}`, handler]));
}
