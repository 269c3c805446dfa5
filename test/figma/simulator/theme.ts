/** The Figma colour variables the panel uses, with roughly the values of its two themes. */
const light = {
  bg: '#ffffff',
  'bg-secondary': '#f5f5f5',
  'bg-hover': '#ebebeb',
  'bg-brand': '#0d99ff',
  'bg-brand-hover': '#007be5',
  'bg-selected': '#e5f4ff',
  'bg-success': '#14ae5c',
  'bg-warning': '#ffcd29',
  'bg-danger-tertiary': '#ffe2e0',
  text: 'rgba(0, 0, 0, 0.9)',
  'text-secondary': 'rgba(0, 0, 0, 0.5)',
  'text-disabled': 'rgba(0, 0, 0, 0.3)',
  'text-onbrand': '#ffffff',
  'text-brand': '#007be5',
  'text-danger': '#dc3412',
  border: '#e6e6e6',
  'border-selected': '#0d99ff',
  'border-danger-strong': '#dc3412',
};
const dark: typeof light = {
  bg: '#2c2c2c',
  'bg-secondary': '#383838',
  'bg-hover': '#444444',
  'bg-brand': '#0c8ce9',
  'bg-brand-hover': '#0a6dc2',
  'bg-selected': '#4a5878',
  'bg-success': '#198f51',
  'bg-warning': '#e5a000',
  'bg-danger-tertiary': '#60332a',
  text: '#ffffff',
  'text-secondary': 'rgba(255, 255, 255, 0.7)',
  'text-disabled': 'rgba(255, 255, 255, 0.4)',
  'text-onbrand': '#ffffff',
  'text-brand': '#7cc4f8',
  'text-danger': '#fca397',
  border: '#444444',
  'border-selected': '#0c8ce9',
  'border-danger-strong': '#fca397',
};

export const themeNames = Object.keys(light).map((name) => `--figma-color-${name}`);

export function themeCSS(scheme: 'light' | 'dark'): string {
  const values = Object.entries(scheme === 'dark' ? dark : light);
  const variables = values.map(([name, value]) => `--figma-color-${name}: ${value};`).join('');
  return `:root { color-scheme: ${scheme}; ${variables} }`;
}
