import { type ComponentType, createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { IconName } from '../icons.ts';

export interface IconProps {
  readonly name: IconName;
}

const glyphs: Readonly<Record<IconName, string>> = { up: '↑', down: '↓', close: '×', right: '▸', open: '▾' };

/** A font character; hosts with unreliable fonts or renderers supply images instead. */
function Glyph({ name }: IconProps) {
  return <span aria-hidden="true">{glyphs[name]}</span>;
}

export const Icons = createContext<ComponentType<IconProps>>(Glyph);

/** A button's icon, as the host draws it. */
export function Icon({ name }: IconProps) {
  const Host = useContext(Icons);
  return <Host name={name} />;
}
