/** The files of a drop or a paste. What is no picture is refused by name when it is opened. */
export function filesOf(transfer: DataTransfer | null): readonly File[] {
  return [...(transfer?.files ?? [])];
}

/** Hands a file to the person, into their downloads. */
export function download(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser reads the address after the click; a minute is enough for any of them.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** `holiday.jpg` and `psd` to `holiday-edited.psd`. */
export function editedName(name: string, extension: string): string {
  return `${name.replace(/\.[^.]*$/, '') || 'picture'}-edited.${extension}`;
}
