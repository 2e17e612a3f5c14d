#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""entries.py COUNT [FIRST]: entries to measure with, NDJSON on stdout.

French records in our own words, the same for the same number on every machine. Their sizes vary as
those of real catalogues do; on average the canonical entry has about 1,080 bytes.
"""
import json
import random
import sys

import msgpack

SIZE_MEDIAN, SIZE_SPREAD, SIZE_MIN, SIZE_MAX = 872, 0.52, 380, 12000  # mean about 1,080

WHO = """la mairie de quartier|le service des archives|l’équipe du musée|la direction des routes
un collectif d’habitants|le centre d’action sociale|la médiathèque départementale
le laboratoire régional|une promotion d’élèves fonctionnaires|la préfecture|le port de pêche
le syndicat des eaux|l’hôpital de proximité|la maison de services au public|le parc naturel
l’office de tourisme|la chambre d’agriculture|le rectorat|la brigade numérique
le réseau des bibliothèques|l’agence de l’eau|la communauté de communes|le bureau du courrier
une équipe de cantonniers|le comité des usagers|la caisse locale|le guichet unique""".split("\n")
DOES = """expérimente|réécrit pas à pas|met en commun|teste avec les agents de terrain|simplifie
cartographie|confie à des volontaires|documente|ouvre au public|transforme en jeu|raccourcit
rend accessible|mesure chaque trimestre|partage avec ses voisins|remplace sans regret
reprend depuis le début|traduit en langage clair|prototype en deux semaines|essaime
évalue avec des chercheurs|numérise|présente sur le marché du samedi|répare""".split("\n")
WHAT = """l’accueil des nouveaux arrivants|la gestion des sentiers|le formulaire d’inscription
la collecte des déchets verts|le prêt de matériel|l’entretien des berges|la visite des locaux
la réponse aux courriers|le suivi des chantiers|la permanence du soir|le budget participatif
l’inventaire des arbres|le transport à la demande|la cantine des écoles|le dossier de subvention
la signalisation des travaux|l’annuaire des associations|le registre des légumes oubliés
la file d’attente du guichet|le carnet de santé des bâtiments|la carte des puits
l’apprentissage du métier de greffier|la passerelle entre deux logiciels""".split("\n")
HOW = """avec trois fois rien|sur un coin de table|pendant tout l’hiver|à budget constant
grâce à un stagiaire en design|en deux ateliers de trois heures|sans marché public
avec l’appui du département|dans cinq communes volontaires|malgré un premier échec
au moyen d’un logiciel libre|en écoutant d’abord ceux qui attendent|jusqu’à la fin de l’année
après une nuit de prototypage|en suivant la recette d’un autre laboratoire|à bicyclette
pour des usagers éloignés du numérique|en lien avec l’école d’à côté""".split("\n")
THEN = """Le délai moyen est passé de {a} à {b} jours.|{a} agents ont été formés en {b} mois.
Coût constaté : {a}{b}0 euros, presque tout en temps passé.|{a} communes ont repris l’idée.
Sur {a}{b} personnes interrogées, {a} regrettent l’ancienne manière.
Ce qui n’a pas marché : l’affichage en gare et les réunions de plus de {a} personnes.
Le noyau à garder : une seule porte d’entrée ; le reste s’adapte à chaque lieu.
Prochaine étape : {a} ateliers avant l’été, puis un bilan public.|Le guide tient en {a} pages.
On peut venir voir sur place le {b} de chaque mois, sans prendre rendez-vous.
Le code et les gabarits sont publiés ; {a} contributions extérieures sont déjà arrivées.
Il manque encore {a}{b} heures de travail et un hébergeur.
L’idée vient d’un agent d’accueil qui notait tout dans un cahier depuis {a} ans.""".split("\n")
TAGS = """accueil|démarches|numérique|design|participation|mobilité|eau|forêt|école|archives|santé
langage clair|logiciel libre|cartographie|médiation|patrimoine|jeunesse|ruralité|recrutement
énergie|commande publique|inclusion|données ouvertes|formation|bénévolat""".split("\n")
PLACE = """com:35238|dep:2A|reg:53|reg:93|dep:971|fr|com:44109|dep:48|nuts:FRH0|com:29019|dep:05
reg:11|com:06088""".split("\n")
WHO, DOES, WHAT, HOW, THEN, TAGS, PLACE = (
    [item for line in group for item in line.split("|")]
    for group in (WHO, DOES, WHAT, HOW, THEN, TAGS, PLACE))
KINDS = ("innovation",) * 6 + ("need", "resource", "event", "adoption", "feedback", "training")
NATURES = ("service", "method", "software", "organisation", "tool", "space")
STAGES = ("idea", "building", "pilot", "running", "scaling", "general", "ended")
SEEKING = ("adopters", "partners", "funding", "testers", "contributors", "feedback", "host")


def sentence(dice):
    """One sentence, or two."""
    text = f"{dice.choice(WHO)} {dice.choice(DOES)} {dice.choice(WHAT)} {dice.choice(HOW)}."
    text = text[0].upper() + text[1:]
    if dice.random() < 0.6:
        text += " " + dice.choice(THEN).format(a=dice.randint(2, 40), b=dice.randint(2, 28))
    return text


def record(number):
    """Entry `number`, as a person would write it."""
    dice = random.Random(number)
    kind = dice.choice(KINDS)
    who, what = dice.choice(WHO), dice.choice(WHAT)
    made = {
        "kind": kind,
        "slug": f"fiche-{number:07d}-{dice.randrange(16 ** 4):04x}",
        "lang": "fr",
        "title": f"{what[0].upper()}{what[1:]}, vu par {who}",
        "summary": sentence(dice),
        "themes": sorted({f"{dice.randint(1, 10):02d}" for _ in range(dice.randint(1, 2))}),
        "territory": [dice.choice(PLACE)],
        "tags": sorted(set(dice.choices(TAGS, k=dice.randint(1, 4)))),
        "created": f"20{dice.randint(18, 26)}-{dice.randint(1, 12):02d}-{dice.randint(1, 28):02d}"
                   f"T{dice.randint(7, 18):02d}:{dice.randint(0, 59):02d}:00Z",
    }
    if kind == "innovation":
        made["nature"], made["stage"] = [dice.choice(NATURES)], dice.choice(STAGES)
        made["rights"] = {"licence": "etalab-2.0", "reuse": "yes", "modify": "yes"}
    if dice.random() < 0.5:
        made["orgs"] = [{"name": who[0].upper() + who[1:], "role": "owner"}]
    if dice.random() < 0.4:
        made["url"] = f"https://exemple.fr/projets/{number}"
    if dice.random() < 0.3:
        made["contact"] = {"email": f"contact-{number % 997}@exemple.fr"}
    if dice.random() < 0.3:
        made["seeking"] = sorted(set(dice.choices(SEEKING, k=2)))
    wanted = min(SIZE_MAX, max(SIZE_MIN, dice.lognormvariate(0, SIZE_SPREAD) * SIZE_MEDIAN))
    size, parts = len(canonical(made)), []
    while size < wanted:
        parts.append(sentence(dice))
        size += len(parts[-1].encode()) + (2 if len(parts) % 4 else 1)
    if parts:
        made["body"] = "\n\n".join(" ".join(parts[at:at + 4]) for at in range(0, len(parts), 4))
    return made


def ascending(value):
    """The value with the keys of every map in the order of their bytes."""
    if isinstance(value, dict):
        return {key: ascending(value[key]) for key in sorted(value, key=str.encode)}
    return [ascending(item) for item in value] if isinstance(value, list) else value


def body(made):
    """The canonical body of a record."""
    fields = {key: value for key, value in made.items() if key not in ("kind", "slug")}
    return msgpack.packb(ascending(fields))


def canonical(made, rev=1):
    """The canonical entry (doc/protocol.md §4.2)."""
    head = msgpack.packb([made["slug"], rev, made["kind"]])
    return b"\x94" + head[1:] + body(made)


def line(made):
    """One line of NDJSON."""
    return json.dumps(made, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.splitlines()[0])
    first = int(sys.argv[2]) if len(sys.argv) == 3 else 0
    sys.stdout.reconfigure(encoding="utf-8")
    for each in range(first, first + int(sys.argv[1])):
        sys.stdout.write(line(record(each)))
