import { type Language, pattern } from '../language.ts';

const colour =
  '(?:roj[oa]s?|verdes?|azul(?:es)?|amarill[oa]s?|naranjas?|morad[oa]s?|violetas?|lilas?|rosas?|marron(?:es)?|castan[oa]s?|negr[oa]s?|blanc[oa]s?|gris(?:es)?|beis|beige|turquesa|dorad[oa]s?|platead[oa]s?|rubi[oa]s?|pelirroj[oa]s?|granate|terracota|mostaza|ocre|coral|salmon|caqui|celeste)';
const shade =
  '(?: (?:clar[oa]|oscur[oa]|mate|viv[oa]|palid[oa]|esmeralda|marino|cielo|pastel|intens[oa]|limon|oliva|fosforito|electrico|brillante)s?)*';
const ends =
  '(?=\\s*(?:$|[.,;!?:)]|por favor|porfa|gracias|en vez|en lugar|y\\b|pero\\b|como\\b|mejor\\b|ahora\\b|plis))';
const material =
  '(?:cuero|piel|madera|roble|pino|marmol|piedra|hormigon|cemento|metal|acero|bronce|cobre|cromo|vidrio|cristal|seda|terciopelo|vaquero|lana|lino|algodon|punto|pelo|plastico|barro|arcilla|ceramica|porcelana|papel|carton|ladrillo|hielo|lego|goma|mimbre|bambu)';
const style =
  '(?:dibujo|boceto|pintura|acuarela|oleo|comic|caricatura|manga|anime|pixel art|grabado|estatua|escultura|ilustracion|cartel|mosaico|carboncillo|estilo)';

export const spanish: Language = {
  common:
    /\b(el|la|los|las|un|una|unos|del|de|y|con|en|es|sobre|al|mas|no|que|este|esta|por|para|sin|se|su|lo|pon|haz|quiero|muy|a|puedes|favor|porfa)\b/g,
  rules: {
    trace: [
      /\b(boceto|garabato|esbozo|croquis|line ?art)\b.*\b(foto\w*|real|realista|render)\b/,
      /\b(foto\w*|real|realista|render)\b.*\b(boceto|garabato|esbozo|croquis|mi dibujo|line ?art)\b/,
      /\b(convierte|convertir|transforma|transformar|pasa|pasar|haz|hacer)\b.*\b(boceto|dibujo|garabato|esbozo|line ?art|mapa de profundidad|croquis)\b.*\b(foto\w*|imagen|render|realista|real)\b/,
      /\b(sigue|seguir|siguiendo|respeta|respetando|usa|utiliza)\b.*\b(lineas|contornos?|bordes|trazos?|boceto|dibujo|mapa de profundidad)\b/,
      /\b(a partir de|segun|basado en) (este|esta|el|la|mi) (boceto|dibujo|garabato|contorno|esbozo|croquis)\b/,
    ],
    colorize: [
      /\b(blanco y negro|sepia|monocromo)\b.*\bcolor(es)?\b/,
      /\bcolor\b.*\b(blanco y negro|sepia)\b/,
      /\bcoloriza\w*/,
      /\b(colorea|colorear|color a|dale color|dar color|pon color)\b.*\b(blanco y negro|antigua|vieja|gris)/,
      /\bblanco y negro\b.*\b(en|a) color\b/,
    ],
    extend: [
      /\bformato (horizontal|vertical|apaisado|panoramico|cuadrado|retrato)\b/,
      /\b(extiend|extender|expand|ampli|ensanch|alarga|prolonga|continua|outpaint|agrand)\w*\b(?!.*\b(detalles?|4k|resolucion|ojos|boca|pelo|falda)\b)/,
      /\bmas (espacio|sitio|margen|fondo|aire|lienzo|hueco)\b/,
      /\bmas (de )?\w+ (\w+ )?(a la izquierda|a la derecha|arriba|abajo|a los lados|alrededor|por encima)\b/,
      /\b(rellen|complet)\w*\b.*\b(vaci[oa]s?|que falta|transparentes?|en blanco|bordes?|margen(es)?|alrededor|huecos?)\b/,
      /\b(aleja|alejar|zoom hacia (a)?fuera)\w*\b/,
      /\b(imagen|foto|lienzo|encuadre)\b.*\bmas (ancha?o?|alta?o?)\b|\bmas (ancha?o?|alta?o?)\b.*\b(imagen|foto|lienzo)\b/,
      /\b(encuadre|recorte|foto|imagen)\b.*\b(muy|demasiado) (justo|cerrado|apretad[oa])\b/,
      /\bmas alla (del?|de los?) (marco|bordes?)\b/,
    ],
    enhance: [
      /\b(enfoca|enfoque)(la|lo|las|los|r|rla|rlo)?\b|\b(salio|sale|esta|quedo) (movid[oa]|borros[oa]|desenfocad[oa])\b/,
      /\b(nitid[oa]s?|nitidez|enfoca|enfocar|enfocad[oa])\b/,
      /\b(desenfoca|desenfocar)\w*\b.*\b(arregla|corrige|quita)\b/,
      /\b(escala|escalar|reescala|upscale|superresolucion)\w*/,
      /\b(muy|demasiado|tan|un poco|bastante|esta|sale|se ve) (\w+ )?(borros[oa]s?|pixelad[oa]s?|desenfocad[oa]s?|con ruido)\b/,
      /\b(aument|mejor|sub|increment|dobl|duplic)\w*\b.*\b(resolucion|calidad|detalles?|definicion)\b/,
      /\b(mejor|mas|mayor|alta) (resolucion|calidad|definicion|detalles?)\b/,
      /\b(a|en) (4k|8k|full hd|hd|alta definicion)\b/,
      /\b(agrand|ampli)\w*\b.*\b(detalles?|4k|resolucion)\b/,
      /\b(resalta|saca|realza)\w*\b.*\bdetalles?\b/,
      /\bquita\w* (el )?(ruido|desenfoque|grano)\b/,
    ],
    replace: [
      /\b(reemplaz|remplaz|sustitu|intercambi)\w*\b(?!.*\bcolor)/,
      /\b(cambia|cambiar|cambie|cambies|cambialo|cambiala)\b.*\bpor (un|una|unos|unas|otro|otra|algo)\b/,
      /\b(convierte|convertir|transforma)\w*\b.*\ben (un|una)\b/,
      /\b(en vez|en lugar) (de la|del|de los|de las|de ese|de esta)\b/,
    ],
    recolor: [
      /\brecolor\w*|\btin(e|elo|ela|ir|as)\b|\btenir\b|\bdesatura\w*|\brepint\w*/,
      /\b(cambi|modific|ajust)\w*\b.*\bcolor(es)?\b|\b(otro|nuevo|distinto) color\b/,
      pattern`\b(?:pon|poner|ponga|haz|hazl[oa]s?|hacer|pint\w*|ponl[oa]s?|colore\w*|vuelve|deja|quiero|cambia\w*|pasa\w*)\b(?!.*\b(?:un|una|unos|unas) \w+ ${colour}${shade}${ends}).*?\b(?:de |en |a )?(?:color )?(?:mas |un poco mas )?${colour}${shade}${ends}`,
      pattern`\b(deberia|deberian|debe|deben|tiene que|sea|sean|fuera)\b (?:ser )?(?:de color )?(?:mas )?${colour}${shade}${ends}`,
      pattern`^(?:en |de |mas |un poco mas )?${colour}${shade}[ .!?]*(?:por favor|porfa)?[ .!?]*$`,
      pattern`\b(?:prefiero|preferiria|quiero|querria|gustaria|mejor)\b.*\b(?:en|color) (?:color )?${colour}${shade}${ends}`,
      pattern`^(?:el |la |los |las |su |sus |esta |este ).*\b(?:en|color) (?:color )?${colour}${shade}${ends}`,
      pattern`\b${colour}${shade} (?:en vez|en lugar|mejor)`,
    ],
    remove: [
      /\b(quit|elimin|borr|suprim|saca|sacar|limpi|retir)(a|ar|e|en|es|as|o|alo|ala|alos|alas|arlo|arla|ame|amos|ir|emos)?\b/,
      /\b(desapare|deshaz|deshacer)\w*/,
      /^(sin|ningun|ninguna|nada de|fuera)\b/,
      /\bno (quiero|necesito) (\w+ )?(el|la|los|las|ese|esa|este|esta|mas|ver)\b/,
      /\bno (deberia|debe|tiene que) (estar|aparecer|verse)\b/,
      /\bhaz que (se vaya|no se vea|desaparezca)\b/,
    ],
    restyle: [
      pattern`\b(?:en|de) (?:\w+ )?${material}\b(?=.*\b(?:pero|manten|conserva|viejo|antiguo)|\s*$|[.,;!?])`,
      pattern`\b(convierte|transforma|haz|pon|cambia|vuelve)\w*\b.*\b(?:en|de|a) (?:\w+ )?${material}\b`,
      /\b(al|en|con) (el )?(estilo|aire|look)\b|\bcon estilo\b/,
      pattern`\b(como|en|tipo) (?:una? )?(?:\w+ )?${style}\b`,
      /\b(parezca|parezcan|parecer|aspecto de)\b/,
      /\b(manten|mantener|manteniendo|conserva|conservar|conservando)\w*\b.*\b(forma|pliegues|estructura|pose|silueta|contorno)\b/,
      /\b(esculpid|tallad|grabad|tejid|bordad|pintad|dibujad)[oa]s? (en|a|con|de)\b/,
      /\bmism[ao] (cara|forma|estructura|pose)\b/,
    ],
    add: [
      /\b(anad|agreg|insert|coloca|colocar|pon|poner|ponga|dibuj|mete|meter|incluye)\w*\b/,
      /\baqui (\w+ )?(quiero|quisiera|gustaria|va|pon)\b/,
    ],
  },
  description:
    /^((anade|agrega|anadir|pon|ponle|coloca|dibuja|inserta|mete) )?(un|una|unos|unas|dos|tres|varios|varias) (?!poco|color|otro)/,
  reference: /\b(referencia|(de|en|como) la (otra|segunda) (imagen|foto)|(imagen|foto) (adjunta|de ref))\b/,
  negation: { before: /\b(no|sin|nunca|tampoco) (lo |la |los |las |me |le )?$/ },
  spelled: [
    'eliminar',
    'elimina',
    'quitar',
    'borrar',
    'reemplazar',
    'reemplaza',
    'extender',
    'extiende',
    'ampliar',
    'amplia',
    'expandir',
    'colorear',
    'colorea',
    'recolorea',
    'anadir',
    'anade',
    'nitidez',
    'resolucion',
    'boceto',
    'desaparezca',
    'convierte',
  ],
};
