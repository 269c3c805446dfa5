import { type Language, pattern } from '../language.ts';

const shades =
  '(?:dark|darker|light|lighter|bright|brighter|pale|paler|deep|deeper|matte?|navy|sky|royal|emerald|lime|forest|neon|pastel|warm|bit|more|slightly|much)';
const colour =
  '(?:red|green|blue|yellow|orange|purple|violet|pink|brown|black|white|gr[ae]y|beige|turquoise|teal|cyan|magenta|gold|golden|silver|navy|blonde?|brunette|ginger|maroon|burgundy|cream|khaki|olive|emerald|terracotta|mustard|petrol|aqua|peach|lavender|crimson|scarlet|indigo|burnt orange|ivory|rust|sage|coral|lilac|mint|bluer|redder|greener)';
const tinted = `(?:${shades}[ -])*${colour}`;
/** Ends a colour: a noun after it would make it a description, as in "make it a red car". */
const ends =
  '(?=\\s*(?:$|[.,;!?:)]|please|pls|plz|thanks|thx|instead|now|again|and\\b|but\\b|with\\b|like\\b|rather\\b|for me|colou?red|tones?\\b|shades?\\b|colou?r\\b))';
const area =
  '(?:to(?:wards?)? the |on the |at the |from the )?(?:left|right|top|bottom|sides?|upwards?|downwards?|edges?|borders?|outwards?|sideways|all around|above|below)';
const material =
  '(?:leather|wood|wooden|oak|pine|marble|stone|concrete|metal|steel|gold|silver|bronze|copper|chrome|glass|silk|velvet|denim|wool|cotton|linen|knit(?:ted)?|fur|plastic|clay|ceramic|porcelain|paper|cardboard|brick|rust(?:y)?|ice|lego|rubber|wicker|rattan|bamboo)';
const style =
  '(?:style|look|drawing|sketch|painting|watercolou?r|oil painting|cartoon|comic|manga|anime|pixel art|engraving|statue|sculpture|illustration|line art|poster|mosaic|3d render|low poly)';

export const english: Language = {
  common:
    /\b(the|an?|of|to|it|its|this|that|and|with|in|on|is|are|please|make|her|his|my|at|from|for|you|into|out|like|here|i|not|more)\b/g,
  rules: {
    trace: [
      /\b(sketch|scribble|doodle|line ?art|line drawing|wireframe|blockout|linework|depth ?map)\b.*\b(photo\w*|real\w*|render\w*)\b/,
      /\b(photo\w*|real\w*|render\w*)\b.*\b(of|from|out of) (this|the|my|that) (\w+ )?(sketch|scribble|doodle|line ?art|line drawing|drawing|wireframe|linework|depth ?map)\b/,
      /\b(turn|make|convert|render|transform)\b.*\b(this|the|my|that)\s+(rough |quick |pencil |line )*(sketch|drawing|doodle|scribble|line ?art|lineart|outline|line drawing|wireframe|blockout|depth ?map|linework)\b.*\b(into|to|as|in|a photo|real|realistic|photo)\b/,
      /\b(follow|use|keep|respect|trace|stick to)\b.*\b(lines|edges|outlines?|contours?|sketch|drawing|depth ?map|linework|scribble|doodle)\b/,
      /\b(from|based on|according to|guided by) (this|the|my) (rough |pencil )*(sketch|drawing|doodle|outline|edges|depth ?map|line ?art|linework|scribble)\b/,
    ],
    colorize: [
      /\b(black and white|b ?& ?w|bw|gr[ae]y ?scale|monochrome|sepia)\b.*\b(colou?rs?|colou?rful)\b/,
      /\bcolou?ri[sz]e\b/,
      /\b(add|give|bring|put|restore) .*colou?rs?\b.*\b(black and white|b ?&? ?w|gr[ae]y ?scale|monochrome|old photo)\b/,
      /\b(black and white|b&w|gr[ae]y ?scale|monochrome)\b.*\b(in|into|to) (full )?colou?r\b/,
    ],
    extend: [
      /\b(landscape|portrait|panorama|widescreen|16[:x]9|vertical|horizontal|square) (format|orientation|version|crop)\b/,
      /\b(out-?paint|un-?crop)\w*/,
      /\b(extend|expand|widen|enlarge|grow|broaden|continue|stretch out)\b(?!.*\b(neck|arm|leg|hair|skirt|sleeves?|smile|beard)\b)/,
      /\b(zoom(ed)? out|pull back)\b/,
      /\bmake (the |this |my )?(canvas|image|picture|photo|frame|background|scene|it) (a bit |much )?(wider|taller|longer)\b/,
      /\b(more|extra|additional) (space|room|margin|canvas|background|headroom|of the (scene|room|landscape|background))\b/,
      pattern`\b(more|extra) \w+( \w+)? ${area}\b`,
      /\b(fill|complete|paint)\b.*\b(missing|empty|blank|transparent|white) (areas?|parts?|space|margins?|edges?|borders?|strips?|bits?|region)\b/,
      /\b(fill|paint)\b.*\b(margins?|borders?|gaps?)\b/,
      /\b(too tight|tightly cropped|cropped too)\b|\b(need|want|leave|give)\b.*\b(room|space) (for|around|above|below|to|on)\b/,
      /\b(beyond|past) the (frame|edges?|borders?|canvas)\b/,
    ],
    enhance: [
      /\b(fix|improve|correct|restore|repair) .*\b(focus|sharpness|blur|quality|resolution|pixels)\b/,
      /\b(sharpen|de-?blur|un-?blur|de-?noise|up-?scal|up-?res|super-?res|enhance)\w*/,
      /\b(sharper|crisper|less blurry|less noisy|less grainy|less pixelated|higher res\w*|high(er)? resolution|hi-?res|more detailed)\b/,
      /\b(make|get|bring)\b.*\b(crisp|sharp|clearer|in focus)\b(?! \w)/,
      /\b(is|it's|its|looks?|too|so|very|bit) (\w+ )?(blurry|pixelated|grainy|out of focus|noisy|soft and blurry)\b/,
      /\b(increase|improve|raise|boost|double|better|up) .*\b(resolution|quality|sharpness|clarity|details?)\b/,
      /\b(to|in) (4k|8k|uhd|full hd|2x|4x)\b/,
      /\b[248]x\b.*\b(bigger|larger|size|resolution)\b/,
      /\b(bring|pull|get) out\b.*\bdetails?\b/,
      /\bfix the (blur|focus|noise|grain|pixelation)\b/,
    ],
    replace: [
      pattern`\b(replace|substitute|exchange|swap)\b(?!.*\b(with|for|by|to) ${tinted}${ends})`,
      /\b(change|turn|convert|transform) .*\b(in)?to (a|an|some|two|three)\b/,
      /\binstead of (the|a|an|this|that|it|her|his)\b(?! \w*(red|green|blue|brown|black|white)\b)/,
    ],
    recolor: [
      /\bre-?colou?r\b/,
      /\b(change|alter|adjust|shift|modify|switch|pick|fix) .*\b(colou?rs?|hue|tint|shade)\b/,
      /\b(different|another|other|new) colou?r\b/,
      pattern`\b(make|turn|paint|dye|tint|colou?r|want|get|have|change|switch)\b (?!.*\b(a|an|some) [\w-]+$)(?:it|this|that|them|these|those|the|her|his|their|my|all|everything|its|both)\b.*?\b(?:to |in |into )?(?:a (?:bit|little|touch|shade|nice|lot) )?${tinted}${ends}`,
      pattern`\b(?:prefer|like|love|want|fancy|imagine|see|picture)\b.*\b(?:the|these|those|this|that|it|them|her|his)\b.*\b(?:in )?(?:a )?${tinted}${ends}`,
      pattern`\b(should|could|can|must|needs to|has to|ought to)\b.*\bbe (?:more |a bit |rather )?${tinted}${ends}`,
      pattern`\b(replace|swap|exchange)\b.*\b(with|for|by|to) ${tinted}${ends}`,
      pattern`\b(change|switch|go)\b.* (?:from ${tinted} )?to ${tinted}${ends}`,
      pattern`^(?:in |a bit |a little )?(?:more )?${tinted}[ .!?]*(?:please|pls)?[ .!?]*$`,
      pattern`\b${tinted} (?:instead|rather than|not ${colour})`,
      pattern`\b(?:look|looks|looking|be|better|nicer|rather|wear|wearing|try|want)\b.*\bin (?:a )?${tinted}${ends}`,
      pattern`\b(?:paint|make|dye|colou?r)\b (?:it|this|that|them|the|her|his)\b.*\b(?:the same )?${tinted} (?:as|like) `,
      /\b(desaturate|(remove|take out|drop) the colou?rs?)\b/,
    ],
    remove: [
      /\b(remove|removing|delete|erase|eliminate|clear away|wipe out|get rid of|dispose of|heal|retouch|photoshop(ped)? out|clone out|edit out|crop out|paint out|airbrush)\b/,
      /\b(take|get|edit|cut|clean|leave|wipe|move) .*\b(out|away|off)\b(?! of (focus|a|wood|metal|glass))/,
      /\b(take out|take away|take off|clean up|tidy up)\b/,
      /\b(shouldn'?t|should not|must not|mustn'?t) be (there|here|in|visible|seen)\b/,
      /\b(should|must|has to|needs to|make .*|let .*|have .*) (go|be gone|disappear|vanish|go away)\b/,
      /\b(no more|no longer any)\b/,
      /^(please |pls )?(no|without|minus)\b (?!\w+ing\b)/,
      /\b(want|need|like) .*\b(gone|removed)\b/,
      /\b(don'?t|do not) (want|need|like) (this|that|the|these|those|any|it|him|her|them)\b/,
      /\b(hide|lose) (the|this|that|these|those|her|his|all|any)\b/,
    ],
    restyle: [
      pattern`\b(turn|make|change|convert|transform|render|redo|redraw|paint|have|want|give)\b.*\b(?:of|in|into|out of|to|from|like|as|look)?\s*(?:\w+ )?${material}\b(?! (?:frame|table|chair|box|vase|bowl))`,
      pattern`\b(in|with) (?:the |a |an )?.*\b(?:style|look) of\b`,
      pattern`\b(in|as|into|like|to) (?:a |an |the )?(?:[\w-]+ ){0,3}${style}\b`,
      /\b(look|looks|looking|seem) (like|as if|made of|older|younger|new|used|worn|more modern)\b/,
      pattern`\bgive\b.*\ba (?:[\w-]+ )?(?:${material}|brass|satin|glossy|rough|smooth) (?:finish|look|texture|surface|coating)\b`,
      /\b(restyle|stylize|stylise|re-?texture|retexture)\b/,
      /\bmade (out )?of\b.*\b(instead|now)\b/,
      pattern`^(?:as|like) (?:a |an )?(?:[\w-]+ ){0,2}?(?:${material}|carved|sculpted|painted|drawn|embroidered)\b`,
      /\b(same|keep(ing)?) (the |its |her |his )?(shape|face|features|structure|pose|folds|form|outline|geometry|composition|layout)\b/,
    ],
    add: [
      /\b(add|insert|place|put|draw|include|paint in|introduce)\b/,
      /\b(want|need|like|would love|there should be|let there be|give)\b.*\b(here|there)\b/,
    ],
  },
  description:
    /^(please |pls )?((add|put|insert|place|draw|paint|show|hang) )?(a|an|some|two|three|several|another) (?!bit|little|touch|shade|tad|different|new)/,
  reference:
    /\b((from|in|of|like|as in|using|matching|with|to|use) (the|my|this|that|our) (\w+ )?(reference|ref|other (image|picture|photo)|second (image|picture|photo)|attached)|same (as|from) (the )?ref|reference (image|picture|photo))\b/,
  negation: { before: /\b(don'?t|do not|never|without|not|shouldn'?t|can'?t) (\w+ )?$/ },
  spelled: [
    'remove',
    'delete',
    'erase',
    'replace',
    'extend',
    'expand',
    'sharpen',
    'upscale',
    'recolor',
    'recolour',
    'colorize',
    'resolution',
    'sketch',
    'insert',
    'disappear',
    'outpaint',
    'uncrop',
    'enlarge',
    'purple',
    'yellow',
    'leather',
    'wooden',
  ],
};
