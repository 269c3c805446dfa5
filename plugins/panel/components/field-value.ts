/** What a field holds, by an event of it. The one cast: the DOM's types know no element behind an event. */
export function fieldValue({ target }: Event): string {
  return (target as HTMLInputElement | null)?.value ?? '';
}
