/** The files of a drop or a paste. Opening one that isn't a picture fails with an error that names it. */
export function filesOf(transfer: DataTransfer | null): readonly File[] {
  return [...(transfer?.files ?? [])];
}

/** Downloads a file. */
export function download(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser reads the URL after the click; a minute is enough for any of them.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `holiday.jpg` and `psd` become `holiday-edited.psd`. */
export function editedName(name: string, extension: string): string {
  return `${name.replace(/\.[^.]*$/, '') || 'picture'}-edited.${extension}`;
}
