import { type ComponentType, createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { IconName } from '../icons.ts';

export interface IconProps {
  readonly name: IconName;
}

const glyphs: Readonly<Record<IconName, string>> = { up: '↑', down: '↓', close: '×', right: '▸', open: '▾' };

/** A character of the font; hosts whose fonts or renderers cannot be relied on bring pictures. */
function Glyph({ name }: IconProps) {
  return <span aria-hidden="true">{glyphs[name]}</span>;
}

export const Icons = createContext<ComponentType<IconProps>>(Glyph);

/** The picture on a button, as the host draws it. */
export function Icon({ name }: IconProps) {
  const Host = useContext(Icons);
  return <Host name={name} />;
}
