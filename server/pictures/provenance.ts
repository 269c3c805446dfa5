import manifest from '../../manifest.json' with { type: 'json' };
import type { EditResult } from '../../shared/protocol/result.ts';

/** IPTC NewsCodes, scheme "Digital Source Type" (cv.iptc.org/newscodes/digitalsourcetype). */
const sourceTypes = {
  composite: 'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia',
  made: 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia',
} as const;

/**
 * XMP that records how a picture was made: IPTC's digital source type, the program, model, adapters and seed.
 * @param kind a photo changed in part, or a picture generated from scratch
 */
export function provenanceXMP(
  { model, adapters, seed }: Pick<EditResult, 'model' | 'adapters' | 'seed'>,
  kind: keyof typeof sourceTypes,
): string {
  const names = adapters.map(({ name, scale }) => `${name} ${scale}`).join(', ');
  const program = `${manifest.name} ${manifest.version}`;
  return [
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""',
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"',
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:acepp="urn:acepp:provenance"',
    ` Iptc4xmpExt:DigitalSourceType="${sourceTypes[kind]}"`,
    ` Iptc4xmpExt:AISystemUsed="${escapeXML(model)}" xmp:CreatorTool="${escapeXML(program)}"`,
    ` acepp:model="${escapeXML(model)}" acepp:adapters="${escapeXML(names)}" acepp:seed="${seed}"/>`,
    '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>',
  ].join('\n');
}

function escapeXML(text: string): string {
  const names = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' } as const;
  return text.replaceAll(/[&<>"]/g, (character) => names[character as keyof typeof names]);
}
