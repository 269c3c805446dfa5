/** Random documents of nested, clipped, masked and locked layers, with several layers selected. */
import { type DocumentRecipe, type LayerRecipe, random, type SelectionRecipe } from './scenes.ts';

export interface Stack {
  readonly document: DocumentRecipe;
  readonly selection: SelectionRecipe | undefined;
  /** The indices of the layers to select, in the order of `flatten`. */
  readonly chosen: readonly number[];
}

export function randomStack(seed: number): Stack {
  const chance = random(seed * 104_729);
  const whole = (from: number, to: number): number => from + Math.floor(chance() * (to - from + 1));
  const oneOf = <T>(values: readonly T[]): T => values[whole(0, values.length - 1)]!;
  const [width, height] = [whole(24, 72), whole(24, 72)];
  let count = 0;
  const layer = (depth: number): LayerRecipe => {
    count++;
    const mask = chance() < 0.15 ? 'black' : 'ramp';
    const common = {
      name: `layer ${count}`,
      visible: chance() < 0.85,
      locked: chance() < 0.2,
      clipped: chance() < 0.3,
      ...(chance() < 0.4 ? ({ mask } as const) : {}),
    };
    if (depth < 3 && chance() < 0.35) {
      const children = Array.from({ length: whole(1, 3) }, () => layer(depth + 1));
      return { ...common, children };
    }
    const [left, top] = [whole(-20, width - 4), whole(-20, height - 4)];
    const bounds = { left, top, right: left + whole(4, 60), bottom: top + whole(4, 60) };
    const kind = oneOf(['pixel', 'pixel', 'text', 'smartObject'] as const);
    return { ...common, kind, bounds, holes: chance() < 0.5 };
  };
  const layers = Array.from({ length: whole(2, 4) }, () => layer(1));
  if (chance() < 0.7) layers.push({ name: 'background', isBackground: true });
  const depth = oneOf([8, 8, 16] as const);
  const document = { width, height, depth, seed, layers, active: -1 };
  const chosen = [...new Set(Array.from({ length: whole(1, 3) }, () => whole(0, count - 1)))];
  if (chance() < 0.2) return { document, selection: undefined, chosen };
  const [left, top] = [whole(0, width - 9), whole(0, height - 9)];
  const bounds = { left, top, right: whole(left + 8, width), bottom: whole(top + 8, height) };
  return { document, selection: { bounds, feather: chance() < 0.5 ? whole(1, 4) : 0 }, chosen };
}
