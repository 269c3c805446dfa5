export const iconNames = ['up', 'down', 'close', 'right', 'open'] as const;
export type IconName = (typeof iconNames)[number];
