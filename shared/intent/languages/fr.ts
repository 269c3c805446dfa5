import { type Language, pattern } from '../language.ts';

const colour =
  '(?:rouges?|verte?s?|bleue?s?|jaunes?|oranges?|violet(?:te)?s?|mauves?|roses?|marrons?|brune?s?|noire?s?|blanc(?:he)?s?|gris(?:es?)?|beiges?|turquoises?|dore(?:e)?s?|argente(?:e)?s?|blonde?s?|roux|rousse|chatains?|bordeaux|terracotta|moutarde|ocre|corail|saumon|kaki|lilas)';
const shade =
  '(?: (?:clair|fonce|mat|vif|pale|emeraude|marine|ciel|pastel|profond|citron|olive|fluo|turquoise|nuit|brillant|petrole|canard|roi|sapin|brique|anthracite)e?s?)*';
const ends =
  "(?=\\s*(?:$|[.,;!?:)]|stp|svp|s'il|merci|plutot|a la place|au lieu|et\\b|mais\\b|comme\\b|maintenant))";
const material =
  '(?:cuir|bois|chene|pin|marbre|pierre|beton|metal|acier|bronze|cuivre|chrome|verre|soie|velours|jean|denim|laine|lin|coton|tricot|fourrure|plastique|argile|ceramique|porcelaine|papier|carton|brique|glace|lego|caoutchouc|rotin|bambou)';
const style =
  '(?:dessin|croquis|peinture|aquarelle|bd|bande dessinee|cartoon|manga|anime|pixel art|gravure|statue|sculpture|illustration|affiche|mosaique|fusain|esquisse|style|look)';

export const french: Language = {
  common:
    /\b(le|la|les|l|un|une|des|du|de|d|et|avec|en|sur|est|dans|au|aux|a|plus|moins|pas|ne|ce|cette|ses|son|sa|mets|que|je|stp|svp|sans|pour|par|c|j|il|peux|tu)\b/g,
  rules: {
    trace: [
      /\b(croquis|esquisse|gribouillis|gribouillage|line ?art|schema|ebauche)\b.*\b(photo\w*|realiste|reel\w*|vraie?|rendu)\b/,
      /\b(photo\w*|realiste|reel\w*|vraie?|rendu)\b.*\b(croquis|esquisse|gribouillis|gribouillage|line ?art|ebauche|mon dessin)\b/,
      /\b(transforme|convertis|convertir|transformer|fais|faire|rends|passe)\b.*\b(ce|cette|le|la|mon|ma|du|de ce|de cette)? ?(croquis|esquisse|dessin|gribouillis|line ?art|schema|carte de profondeur|trait)\b.*\b(en|une?|photo|image|rendu)\b.*\b(photo\w*|image|rendu|realiste|reel|vrai\w*)\b/,
      /\b(suis|suivre|suivant|respecte|respectant|utilise|garde)\b.*\b(lignes|contours?|traits?|croquis|esquisse|dessin|carte de profondeur|bords)\b/,
      /\b(a partir|d'apres|selon) (de )?(ce|cette|du|le|la|mon|ma) (croquis|esquisse|dessin|contour|trait)\b/,
    ],
    colorize: [
      /\b(vieille|ancienne|cette|la) (vieille |ancienne )?photo\b.*\ben couleurs?\b/,
      /\b(noir et blanc|sepia|monochrome)\b.*\bcouleurs?\b/,
      /\bcoloris\w*/,
      /\bnoir et blanc\b.*\b(en couleurs?|couleurs)\b/,
      /\b(en couleurs?|couleurs)\b.*\bnoir et blanc\b/,
    ],
    extend: [
      /\b(format|mode) (paysage|portrait|horizontal|vertical|panoramique|carre)\b/,
      /\b(etend|etendre|elargi|prolonge|prolonger|continue|continuer|outpaint|agrandi|agrandir|agrandis)\w*\b(?!.*\b(details?|4k|resolution|yeux|bouche)\b)/,
      /\b(plus|davantage|un peu plus) (d'|de )?(espace|place|marge|fond|decor|arriere-plan|de place)\b/,
      /\bplus de \w+ (\w+ )?(a gauche|a droite|en haut|en bas|sur les cotes|autour|au-dessus|en dessous)\b/,
      /\b(rempli|complete|comble)\w*\b.*\b(vides?|manquante?s?|transparente?s?|blanche?s?|bords?|marges?|autour)\b/,
      /\b(dezoom|recule)\w*/,
      /\b(plus large|plus haute?|plus longue?)\b.*\b(image|photo|cadre|toile)\b|\b(image|photo|cadre|toile)\b.*\bplus (large|haute?)\b/,
      /\b(cadrage|cadre|cadree?|recadree?)\b.*\btrop serree?s?\b/,
      /\b(au-dela|hors) (du|des) (cadre|bords?)\b/,
    ],
    enhance: [
      /\bnettete\b|\b(plus|rends?|rendre) net(te)?s?\b/,
      /\b(defloute|deflouter|debruite|upscale|super-?resolution)\w*/,
      /\b(trop|tres|si|un peu|assez) (floue?s?|pixelisee?s?|bruitee?s?|pixelise)\b/,
      /\b(augmente|ameliore|augmenter|ameliorer|monte|double|doubler)\w*\b.*\b(resolution|qualite|details?|definition)\b/,
      /\b(meilleure|plus haute|haute) (resolution|qualite|definition)\b|\bplus de details?\b/,
      /\ben (4k|8k|full hd|haute definition|hd)\b/,
      /\bagrandi\w*\b.*\b(details?|4k|resolution)\b/,
      /\b(fais|faire) ressortir\b.*\bdetails?\b/,
    ],
    replace: [
      /\bremplac\w*\b(?!.*\bcouleur)/,
      /\b(echange|substitue)\w*\b/,
      /\b(change|changer|transforme|transformer)\b.*\b(en|pour|par|contre) une?\b/,
      /\b(a la place|au lieu) (de la|du|des|de l'|de cette|de ce)\b/,
    ],
    recolor: [
      /\brecolor\w*|\bteins|\bteindre|\bteinte\b|\bdesature\w*|\brepein\w*/,
      /\b(change|changer|modifie|modifier)\b.*\bcouleurs?\b|\b(autre|nouvelle) couleur\b|\bcouleur differente\b/,
      pattern`\b(mets|mettre|met|rends|rendre|rend|peins|peindre|passe|passer|fais|colore|colorer|colorie|veux|voudrais|aimerais)\b(?:-\w+)?(?!.*\b(?:un|une|des) \w+ ${colour}${shade}${ends}).*?\b(?:en )?(?:plus |un peu plus )?${colour}${shade}${ends}`,
      pattern`\b(devrait|devraient|doit|doivent|soit|soient|serait|seraient|etre)\b (?:etre )?(?:plus |en )?${colour}${shade}${ends}`,
      pattern`^(?:en |plus |un peu plus )?${colour}${shade}[ .!?]*(?:stp|svp)?[ .!?]*$`,
      pattern`\b(?:prefere|prefererais|voudrais|aimerais|verrais|mieux)\b.*\ben ${colour}${shade}${ends}`,
      pattern`^(?:le |la |les |l'|ce |cette |ses |son |sa ).*\ben ${colour}${shade}${ends}`,
      pattern`\b${colour}${shade} (?:plutot|au lieu|a la place)`,
    ],
    remove: [
      /\b(enlev|supprim|retir|efface|elimin|gomme|vire|degage|otez?|ote)\w*/,
      /\b(fais|faire|faites) disparaitre\b|\bdisparai\w+/,
      /\b(debarrass|nettoi)\w*/,
      /^(sans|plus de|pas de|plus aucun)\b/,
      /\bje ne veux (pas|plus) (de|du|des|la|le|les|ce|cette|voir)\b/,
      /\b(ne devrait|ne doit) (pas|plus) (etre|apparaitre|se voir)\b/,
    ],
    restyle: [
      pattern`\ben (?:\w+ )?${material}\b`,
      pattern`\b(dans le|en|au|a la) style\b|\ben mode ${style}\b`,
      pattern`\b(comme|facon|en) (?:une? )?(?:\w+ )?${style}\b`,
      /\b(ait|aient|donne|donner|avoir|prenne) l'(air|aspect|apparence)\b|\bressemble\w*\b/,
      /\b(garde|garder|conserve|conserver|en gardant)\b.*\b(forme|plis|structure|pose|silhouette|contour)\b/,
      /\b(sculpte|taille|grave|tricote|brode|peint|dessine)e?s?\b (dans|en|a|au)\b/,
      /\bmeme (visage|forme|structure|pose)\b/,
    ],
    add: [
      /\b(ajout|insere|inserer|pose|poser|place|placer|dessine|mets|mettre|met)\w*\b/,
      /\bici (\w+ )?(je|j'|il|on)\b/,
    ],
  },
  description:
    /^((ajoute|ajouter|mets|mettre|pose|place|dessine|insere)(-lui|-y)? )?(un|une|des|deux|trois|plusieurs) (?!peu|autre)/,
  reference:
    /\b(reference|(de|dans|sur|comme) (la|l'|le) ?(autre|deuxieme|seconde) (image|photo)|(image|photo) (jointe|de ref))\b/,
  negation: { before: /\b(ne|n'|sans|pas) ?(le |la |les |y |l')?$/ },
  spelled: [
    'supprimer',
    'supprime',
    'enlever',
    'enleve',
    'retirer',
    'effacer',
    'efface',
    'remplacer',
    'remplace',
    'etendre',
    'agrandir',
    'prolonger',
    'coloriser',
    'colorise',
    'recolorer',
    'ajouter',
    'ajoute',
    'nettete',
    'resolution',
    'croquis',
    'disparaitre',
  ],
};
