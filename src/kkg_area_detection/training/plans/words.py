"""What is written on plans: names of rooms, numbers, notes."""

from __future__ import annotations

import random

_JAPANESE = {
    "living": ("LDK", "LDK", "LD", "リビング", "居間", "リビングダイニング", "DK", "ＬＤＫ", "居室"),
    "bedroom": ("洋室", "洋室", "洋室(1)", "洋室2", "寝室", "主寝室", "子供室", "洋間", "居室"),
    "tatami": ("和室", "和室", "和 室", "客間", "仏間", "茶の間"),
    "kitchen": ("K", "キッチン", "台所", "DK", "厨房"),
    "bath": ("浴室", "UB", "バス", "風呂", "浴 室", "BATH"),
    "wash": ("洗面室", "洗面所", "洗面脱衣室", "脱衣室", "洗面"),
    "wc": ("WC", "トイレ", "便所", "トイレ", "ト"),
    "hall": ("廊下", "ホール", "廊 下", "玄関ホール"),
    "entrance": ("玄関", "玄 関", "ポーチ", "土間"),
    "closet": ("CL", "収納", "押入", "押入れ", "物入", "クローゼット", "WIC", "床の間", "納戸", "物"),
    "stairs": ("階段", "UP", "DN", "階段室"),
    "store": ("物入", "納戸", "収納", "PS", "倉庫", "機械室"),
    "office": ("事務室", "会議室", "応接室", "受付", "更衣室", "書斎", "休憩室", "診察室"),
}
_LATIN = {
    "living": (
        "LIVING ROOM",
        "Living",
        "Lounge",
        "Great Room",
        "Wohnen",
        "Salon",
        "Séjour",
        "Family Room",
        "Soggiorno",
    ),
    "bedroom": (
        "BEDROOM",
        "Bedroom 1",
        "BEDROOM 2",
        "Master Bedroom",
        "Schlafen",
        "Chambre",
        "Kind 1",
        "BR 3",
        "Camera",
    ),
    "tatami": ("BEDROOM", "Guest Room", "Study", "Zimmer", "DEN"),
    "kitchen": ("KITCHEN", "Kitchen", "Küche", "Cuisine", "Kitchen/Dining", "KIT.", "Cucina"),
    "bath": ("BATH", "Bathroom", "Bad", "SDB", "En-suite", "Bagno", "Shower"),
    "wash": ("LAUNDRY", "Utility", "Powder", "HWR", "Wash"),
    "wc": ("WC", "Toilet", "W.C.", "PWDR"),
    "hall": ("HALL", "Hall", "Corridor", "Flur", "Landing", "Couloir", "Foyer"),
    "entrance": ("ENTRY", "Entrance", "Foyer", "Porch", "Diele", "Entrée"),
    "closet": ("CL", "Closet", "W.I.C.", "CLO.", "Store", "Abst.", "Pl."),
    "stairs": ("UP", "DN", "Stairs", "Up"),
    "store": ("STORE", "Storage", "Pantry", "PS", "Shaft", "Mech."),
    "office": (
        "OFFICE",
        "Office 2",
        "Meeting room",
        "Reception",
        "Conference",
        "Büro",
        "Study",
        "Open Office",
    ),
}
_NOTES_JAPANESE = (
    "平面図 S=1/100", "1階平面図", "2階平面図", "間取り図",
    "※図面と現況が異なる場合は現況優先", "専有面積 62.45㎡",
    "バルコニー面積 9.8㎡", "縮尺 1:100", "A-1タイプ", "301号室", "設計 一級建築士事務所", "図面番号 A-03",
    "作成日",
    "工事名称 新築工事", "延床面積 104.33㎡",
    "築年月", "価格 2,980万円", "所在地", "方位",
    "敷地境界線", "道路", "駐車場", "隣地",
)  # fmt: skip
_NOTES_LATIN = (
    "FIRST FLOOR PLAN", "Ground Floor", "SCALE 1:100", "Total area 84.5 m2", "Drawing No. A-102",
    "NOT FOR CONSTRUCTION",
    "All dimensions in mm", "Second floor", "Approx. gross internal area", "Revision B", "Date 12/04",
    "Project", "Client",
    "Unit type B2", "N", "1/4\" = 1'-0\"", "GENERAL NOTES", "Verify on site", "Garden", "Driveway",
    "Street", "SECTION A-A",
)  # fmt: skip
_OUTDOOR_JAPANESE = (
    "バルコニー",
    "ベランダ",
    "テラス",
    "ポーチ",
    "共用廊下",
    "ルーフバルコニー",
    "庭",
    "物干",
)
_OUTDOOR_LATIN = ("Balcony", "BALCONY", "Terrace", "Patio", "Deck", "Porch", "Loggia", "Garden")


def room_name(random_: random.Random, kind: str, square_metres: float, *, japanese: bool) -> tuple[str, ...]:
    """One to three lines that name a room."""
    name = random_.choice((_JAPANESE if japanese else _LATIN)[kind])
    if square_metres < 4.2 or random_.random() < 0.35:
        return (name,)
    if japanese:
        mats = square_metres / 1.62
        size = random_.choice(
            (f"{mats:.1f}帖", f"約{mats:.1f}帖", f"{mats:.0f}帖", f"({mats:.1f}畳)", f"{square_metres:.2f}㎡")
        )
        return (name, size) if random_.random() < 0.75 else (f"{name}{size}",)
    side = square_metres**0.5
    size = random_.choice(
        (
            f"{square_metres:.1f} m²",
            f"{square_metres:.2f} sqm",
            f"{side * 1.2:.2f} x {side / 1.2:.2f}",
            f"{int(side * 3.6)}'-{random_.randrange(12)}\" x {int(side * 3)}'",
            f"{square_metres * 10.76:.0f} SF",
        )
    )
    return (name, size) if random_.random() < 0.8 else (name, size, f"H={random_.choice((2400, 2500, 2700))}")


def note(random_: random.Random, *, japanese: bool) -> str:
    """A line beside the plan."""
    return random_.choice(_NOTES_JAPANESE if japanese else _NOTES_LATIN)


def outdoor_name(random_: random.Random, *, japanese: bool) -> str:
    """A name of a balcony or the like."""
    return random_.choice(_OUTDOOR_JAPANESE if japanese else _OUTDOOR_LATIN)


def length_text(random_: random.Random, units: float, style: int) -> str:
    """A measured length, as dimension chains of one style write it."""
    millimetres = round(units * 50 / 5) * 5 + random_.choice((0, 0, 5, 10))
    if style == 0:
        return f"{millimetres:,}"
    if style == 1:
        return f"{millimetres / 1000:.2f}"
    if style == 2:
        inches = round(millimetres / 25.4)
        return f"{inches // 12}'-{inches % 12}\""
    return str(millimetres)
