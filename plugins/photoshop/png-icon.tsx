import type { IconProps } from '../panel/components/icon.tsx';

/** UXP draws PNG reliably, but not SVG or font characters. The theme shows one of the two. */
export function PNGIcon({ name }: IconProps) {
  return (
    <span class="png-icon" aria-hidden="true">
      <img class="on-dark" src={`icons/${name}-dark.png`} alt="" />
      <img class="on-light" src={`icons/${name}-light.png`} alt="" />
    </span>
  );
}
