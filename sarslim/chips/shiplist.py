"""Ship.xml of OpenSARShip: who each chip shows, by the position of the chip in its scene."""

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

# ITU-R M.1371: first digit of a ship type, then the exceptions among 30 to 59.
AIS_DECADES = {2: "Wing In Ground", 4: "High Speed Craft", 6: "Passenger", 7: "Cargo", 8: "Tanker", 9: "Other Type"}
AIS_TYPES = {
    30: "Fishing", 31: "Tug", 32: "Tug", 33: "Dredging", 34: "Diving", 35: "Military", 36: "Sailing",
    37: "Pleasure Craft", 50: "Pilot Vessel", 51: "Search and Rescue", 52: "Tug", 53: "Port Tender",
    54: "Anti-Pollution", 55: "Law Enforcement", 58: "Medical Transport",
}  # fmt: skip
NOT_SAID = ("", "na", "nan", "unspecified", "unknown")


@dataclass(frozen=True)
class Ship:
    """A ship as AIS and MarineTraffic know it; "" and None where they do not."""

    mmsi: str
    ais: str | None
    marinetraffic: str | None


UNKNOWN = Ship("", None, None)


def read(text: bytes) -> dict[tuple[str, str], Ship]:
    """Ships by the x and y of their chips. Closing tags with a backslash and bare ampersands are put right.

    Raises:
        ValueError: beyond repair, or an attack by entity expansion.
    """
    repaired = text.decode("utf-8-sig", errors="replace").replace("<\\", "</")
    repaired = re.sub(r"&(?!#?\w+;)", "&amp;", repaired)
    try:
        root = fromstring(repaired)
    except ParseError as error:
        raise ValueError(str(error)) from error
    return {
        (_text(ship, "SARShipInformation/Center_x"), _text(ship, "SARShipInformation/Center_y")): Ship(
            mmsi=_text(ship, "AISShipInformation/MMSI").strip("0") and _text(ship, "AISShipInformation/MMSI"),
            ais=_ais_class(_text(ship, "AISShipInformation/Ship_Type")),
            marinetraffic=_said(_text(ship, "MarineTrafficInformation/Elaborated_type")),
        )
        for ship in root.iter("ship")
    }


def _text(ship: Element, path: str) -> str:
    return (ship.findtext(path) or "").strip()


def _said(text: str) -> str | None:
    return None if text.lower() in NOT_SAID else text


def _ais_class(code: str) -> str | None:
    """The class of an AIS ship type; None for 0 (not available), reserved and unreadable codes."""
    if not code.isdigit():
        return None
    return AIS_TYPES.get(int(code)) or AIS_DECADES.get(int(code) // 10)
