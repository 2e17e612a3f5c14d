#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""convert.py ipsx|eig FILE: real catalogues of others as records for `essaim publish`, NDJSON.

ipsx: the Innovative Public Services Explorer of the European Commission's JRC -> innovations.
eig: the challenges of Entrepreneurs d'intérêt général (DINUM) -> needs. One line in, one line out;
texts go through as they are, every character of them, cut only where a summary would be too long.
"""
import json
import re
import sys
import unicodedata

COFOG = {"General public services": "01", "Defence": "02", "Public order and safety": "03",
         "Economic affairs": "04", "Environmental protection": "05",
         "Housing and community amenities": "06", "Health": "07",
         "Recreation, culture and religion": "08", "Education": "09", "Social protection": "10"}
STAGE = {"Planned": "idea", "In development": "building", "Pilot": "pilot",
         "Implemented": "running", "In production": "running", "Not in use anymore": "ended"}
ORG_TYPE = {"Private sector": "company", "Academic-Research": "education",
            "Consortium": "network", "Non-governmental": "association"}


def slug_of(number, title):
    """Letters, digits and hyphens; the number makes it one of a kind."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"{words[:48].strip('-')}-{number}".lstrip("-")


def cut(text, most):
    """At most so many characters, at the end of a word."""
    text = " ".join(text.split(" ")).strip()
    return text if len(text) <= most else text[:most - 1].rsplit(" ", 1)[0] + "…"


def link(text):
    """The address, where it is one that a reader can follow."""
    text = (text or "").strip()
    return text if re.fullmatch(r"https?://[!-~]+", text) else None


def full(record):
    """Without what is not there."""
    return {key: value for key, value in record.items() if value not in (None, [], {}, "")}


def ipsx(case):
    codes = case.get("geocoverage_codes", [])
    owner = case.get("lead_organisation_name")
    text = case["description"]
    return full({
        "kind": "innovation", "slug": slug_of(case["id"], case["name"]), "lang": "en",
        "title": {"en": cut(case["name"], 200)}, "summary": {"en": cut(text, 500)},
        "body": {"en": text}, "url": link(case.get("url")),
        "themes": [COFOG[case["primary_sector"]]] if case["primary_sector"] in COFOG else [],
        "tags": [case["technology"][:40]],
        "territory": [code for code in codes if re.fullmatch("[A-Z]{2}", code)],
        "orgs": [full({"name": owner.strip(), "role": "owner",
                       "type": ORG_TYPE.get(case["lead_organisation_category"])})] if owner else [],
        "nature": ["service"], "stage": STAGE[case["status"]],
        "rights": {"licence": "unknown", "cleared": "unknown"},
        "since": case["start_date"], "until": case.get("end_date"),
        "source": {"format": "ips-x", "id": str(case["id"]), "fetched": "2024-09-04",
                   "licence": "EUPL-1.2"},
        "data_licence": "EUPL-1.2",
        "ips_x": full({key: case.get(key) for key in (
            "rtype", "geoextent", "geocoverage", "lead_organisation_category", "secondary_sector",
            "type", "status", "uptake", "cross_border", "cross_sector")}),
    })


def eig(challenge):
    return full({
        "kind": "need", "slug": challenge["id"], "lang": "fr",
        "title": {"fr": cut(challenge["title"], 200)},
        "summary": {"fr": cut(challenge["summary"], 500)}, "body": {"fr": challenge["body_md"]},
        "url": link(challenge.get("website")), "themes": ["01"],
        "orgs": [{"name": challenge["administration"], "role": "owner", "type": "state"}],
        "state": "closed", "origin": "service", "problem": {"fr": challenge["summary"]},
        "skills": challenge["skills"],
        "links": [{"rel": "repo", "url": address} for address in (link(challenge.get("source_code")),)
                  if address],
        "source": {"format": "eig", "id": challenge["id"], "fetched": "2022-09-05",
                   "licence": "etalab-2.0"},
        "eig": full({key: challenge.get(key) for key in (
            "administration_website", "place", "year", "promotion", "duration_months",
            "key_figures", "projects")}),
    })


def converted(which, path):
    """The records of a file. Lines end with a line feed, and with nothing else Unicode offers."""
    with open(path, encoding="utf-8", newline="\n") as file:
        return [{"ipsx": ipsx, "eig": eig}[which](json.loads(line))
                for line in file.read().split("\n") if line]


if __name__ == "__main__":
    for each in converted(*sys.argv[1:3]):
        print(json.dumps(each, ensure_ascii=False))
