import { type Language, pattern } from '../language.ts';

const colour =
  '(?:(?:hell|dunkel|matt|knall|blass|tief|himmel|smaragd|oliv|gras|moos|feuer|wein|marine|rosen|pastell|gold|senf|zitronen)-?)*(?:rot|grun|gruen|blau|gelb|orange|lila|violett|rosa|pink|braun|schwarz|weiss|grau|beige|turkis|tuerkis|golden|silbern|silber|gold|blond|terrakotta|petrol|senfgelb|mint|anthrazit|bordeaux|rotlich|roter|blauer|gruner|bunt)';
const ends =
  '(?=\\s*(?:$|[.,;!?:)]|bitte|danke|machen|farben|faerben|streichen|sein|haben|werden|statt|anstatt|anstelle|und\\b|aber\\b|wie\\b|umfarben|umfaerben|anmalen|lackier\\w*|einfarben))';
const material =
  '(?:leder|holz|eiche|kiefer|marmor|stein|beton|metall|stahl|bronze|kupfer|chrom|glas|seide|samt|jeans|wolle|leinen|strick|fell|plastik|kunststoff|ton|keramik|porzellan|papier|pappe|backstein|eis|lego|gummi|rattan|bambus|edelstahl)';
const style =
  '(?:zeichnung|bleistiftzeichnung|skizze|gemalde|olgemalde|oelgemaelde|aquarell|cartoon|comic|manga|anime|pixel ?art|gravur|statue|skulptur|illustration|plakat|mosaik|kohlezeichnung|holzschnitt)';

export const german: Language = {
  common:
    /\b(der|die|das|den|dem|des|ein|eine|einen|einer|eines|und|mit|im|in|auf|zu|ist|sind|soll|sollen|bitte|mach|mache|nicht|aus|es|hier|statt|kein|keine|ohne|mehr|vom|von|als|wie|ich|du|fur|etwas|bild)\b/g,
  rules: {
    trace: [
      /\b\w*(skizze|gekritzel|kritzelei|strichzeichnung|entwurf|lineart|scribble)\b.*\b(foto\w*|echt\w*|realistisch\w*|rendering)\b/,
      /\b(foto\w*|realistisch\w*|rendering)\b.*\b(aus|von|nach) \w+ \w*(skizze|gekritzel|kritzelei|zeichnung|entwurf|scribble)\b/,
      /\b(aus|nach|anhand|entlang) (dieser|der|meiner|dem|diesem|meinem) \w*(skizze|zeichnung|kritzelei|strichzeichnung|umriss|linien|tiefenkarte|kanten|lineart)\b/,
      /\b(skizze|zeichnung|kritzelei|strichzeichnung|lineart)\b.*\b(in ein|zu einem|als) (\w+ )?\w*(foto|bild|rendering)\b/,
      /\b(folge|folgen|halte dich an|nutze|benutze|nimm|verwende)\b.*\b(linien|kanten|umrissen?|konturen|skizze|zeichnung|tiefenkarte)\b/,
    ],
    colorize: [
      /\b(schwarz-?weiss|sw-?|sepia|graustufen)\w*\b.*\b(farbe|bunt|farbig)\b/,
      /\b(alte|altes|dieses|das) \w*(foto|bild)\b.*\b(in farbe|farbig|bunt)\b/,
      /\b(nach)?(kolorier|colorier)\w*/,
      /\b(schwarz-?weiss|sw-)\w*.*\b(farbig|in farbe|farbe geben|einfarb\w*|bunt)\b/,
      /\b(farbig|in farbe|bunt)\b.*\bschwarz-?weiss/,
    ],
    extend: [
      /\b(querformat|hochformat|breitformat|panorama|16:9)\b/,
      /\b(erweiter|verbreiter|outpaint|ausdehn|dehne)\w*/,
      /\b(vergrossere?|vergroessere?)\w*.*\b(leinwand|rahmen|bildausschnitt|ausschnitt|format|arbeitsflache)\b/,
      /\b(leinwand|rahmen|bildausschnitt|ausschnitt|arbeitsflache)\b.*\b(vergrosser|vergroesser|grosser|groesser|breiter|hoher)\w*/,
      /\b(weiter|fort)(fuhr|fuehr|mal|zeichn|setz|geh)\w*/,
      /\b(fuhre?|setze?|male?|zeichne?)\b.*\b(weiter|fort)\b/,
      /\b(mehr|etwas|zusatzlich\w*) (platz|raum|rand|hintergrund|luft|weissraum|umgebung)\b/,
      /\bmehr \w+ (\w+ )?(links|rechts|oben|unten|an den seiten|ringsum|rundherum|auf beiden seiten)\b/,
      /\b(full|fuell|erganz|ergaenz)\w*.*\b(leere?n?|fehlende?n?|transparente?n?|weisse?n?|freie?n?)? ?(rand|rander|raender|flachen?|bereiche?|stellen?|ecken|streifen)\b/,
      /\b(links|rechts|oben|unten|ringsum|rundherum|drumherum)\b.*\bmehr \w+\b|\bzu (eng|knapp) (beschnitten|geschnitten|am rand)\b/,
      /\b(herauszoomen|rauszoomen|zoom\w* (he)?raus)\b/,
      /\b(breiter|hoher|langer) machen\b|\bmach\w* (das|dieses)? ?(bild|foto) (breiter|hoher)\b/,
    ],
    enhance: [
      /\b(nach)?(scharf|schaerf)(e|en|er|t|ung|st)\b/,
      /\b(hoch|auf)?skalier\w*|\bupscal\w*|\bentrausch\w*|\bhochrechn\w*/,
      /\b(ver|un)(schwommen|scharf|pixelt|wackelt|rauscht)\b(?! im| hinter)/,
      /\b(hohere?|bessere?|mehr|grossere?|doppelte) (auflosung|aufloesung|qualitat|scharfe|schaerfe|details?)\b/,
      /\b(auflosung|aufloesung|qualitat|bildqualitat|scharfe|schaerfe)\b.*\b(erhoh|erhoeh|verbesser|steiger|verdoppel|rauf|hoch)\w*/,
      /\b(erhoh|verbesser|steiger|verdoppel)\w*.*\b(auflosung|qualitat|scharfe|bildqualitat|details)\b/,
      /\b(auf|in) (4k|8k|full hd)\b/,
      /\b(klarer|deutlicher) machen\b|\bmach\w* .*\b(klarer|deutlicher)\b/,
      /\bdetails?\b.*\b(heraus|raus)\w+/,
    ],
    replace: [
      /\b(ersetz|ersatz|austausch|tausch|auswechsel|wechsle?)\w*(?!.*\bfarbe)/,
      /\b(an)?statt (des|der|dem|den|einer|eines|die|das)\b|\banstelle (des|der|von)\b/,
      /\b(mach|verwandl|wandl)\w* .*\b(aus|in) (dem|der|den|diesem|dieser|einen?|eine)\b.*\b(einen?|eine) \w+/,
    ],
    recolor: [
      /\bumf(a|ae)rb\w*|\bumlackier\w*|\bentfarb\w*|\bentsattig\w*/,
      /\b(farb|faerb)(e|en|st|t)?\b.*\b/,
      pattern`\b(andre|andere|aendere|wechs\w+|tausch\w+|anpass\w+|passe)\b.*\b(farbe|farbton)\b`,
      /\b(farbe|farbton)\b.*\b(andern|aendern|wechseln|anpassen|tauschen)\b|\b(andere|neue) farbe\b/,
      pattern`\b(mach|mache|machst|streiche?|male?|lackiere?|stelle?|haben|wunsch\w*|mocht\w*|hatte)\b.*?\b(?:in |etwas |ein bisschen )?${colour}${ends}`,
      pattern`\b(soll|sollen|sollte|sollten|muss|mussen|darf|konnte|konntest)\b.*\b${colour}${ends}`,
      pattern`\b(in|auf|zu|nach|lieber|nur|bitte) ${colour}${ends}`,
      pattern`^(?:bitte |etwas |lieber )*${colour}[ .!?]*(?:bitte)?[ .!?]*$`,
      /\b\w+ (roter|gruner|gruener|blauer|gelber)$/,
      pattern`\b${colour} (?:statt|anstatt|farben|streichen|machen|lackieren|anmalen)`,
    ],
    remove: [
      /\b(entfern|losch|loesch|beseitig|eliminier|ausradier|radier|wegretuschier|retuschier|rausretuschier)\w*/,
      /\b(nimm|nehme|mach|mache|schneide|tu)\b.*\b(weg|raus|heraus)\b/,
      /\b(weg|raus|heraus)(machen|nehmen|schneiden|retuschieren|bekommen|zaubern|tun|haben|radieren|loschen)\b/,
      /\b(soll|sollen|sollte|sollten|muss|mussen|kann|konnen|konnte)\b.*\b(weg|raus|verschwinden|fort)\b/,
      /\b(verschwinden|verschwindet|unsichtbar)\b/,
      /\b(weg|raus) (mit|damit)\b/,
      /^(bitte )?(ohne|keine?n?)\b/,
      /\b(will|mochte|brauche|wollen) (\w+ )?(kein|keine|keinen|nicht mehr)\b/,
      /\b(weg|raus)( bitte)?[ .!]*$/,
    ],
    restyle: [
      pattern`\baus (?:\w+ )?${material}\b`,
      pattern`\b(verwandl|wandl)\w* .*\b(in|zu) (?:\w+ )*?${material}\b`,
      pattern`\b(?:wie|in|zu|nach) (?:\w+ )?${material}\b.*\b(aussehen|aussieht|wirken|machen|verwandeln)\b`,
      /\b(im|in der|in dem) (stil|look|style|manier)\b|\w+-?stil\b/,
      pattern`\b(als|wie|in) (?:eine?n? )?(?:\w+ )?\w*${style}\b`,
      /\b(aussehen|aussieht|wirken) (wie|als)\b|\b(soll|sollen|lass|lasse)\b.*\b(aussehen|wirken)\b/,
      /\b(form|falten|struktur|pose|haltung|umriss|aufbau)\b.*\b(behalten|beibehalten|erhalten|bleiben|lassen|bleibt)\b/,
      /\b(geschnitzt|gemeisselt|gestrickt|gehakelt|bestickt|gemalt|gezeichnet)\b/,
      /\b(gleiche|gleiches|selbe|selbes|dasselbe) (gesicht|form|struktur|pose|haltung)\b/,
    ],
    add: [
      /\b(fuge|fuege|hinzufug|hinzufueg|erganz|einfug|einfueg|setze?|stelle?|platzier|leg|lege|zeichne?|male?|pack)\w*\b/,
      /\bhier (\w+ )?(hatte|mochte|haette|moechte|soll|kommt|bitte)\b/,
    ],
  },
  description:
    /^(bitte )?((fuge|fuege|setze?|stelle?|male?|leg|lege|zeichne|hange?|zeig) (\w+ )?)?(ein|eine|einen|einem|zwei|drei|mehrere|noch ein|noch eine) (?!bisschen|wenig|andere)/,
  reference: /\b(referenz\w*|(aus|von|wie|auf|in) (dem|der|im) (zweiten|anderen) (bild|foto)|vorlage)\b/,
  negation: {
    before: /\b(nicht|nie|ohne|keinesfalls) (\w+ )?$/,
    after: /^[^,.;]{0,30}\bnicht\b(?! mehr)/,
  },
  spelled: [
    'entfernen',
    'entferne',
    'losche',
    'loschen',
    'ersetze',
    'ersetzen',
    'erweitern',
    'erweitere',
    'umfarben',
    'koloriere',
    'verbreitern',
    'vergrossern',
    'auflosung',
    'skizze',
    'hinzufugen',
    'retuschieren',
    'verschwinden',
    'hochskalieren',
  ],
};
