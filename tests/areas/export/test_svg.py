from dataclasses import replace
from xml.etree import ElementTree

from kkg_area_detection.areas.export.svg import svg_document
from tests.areas.export.conftest import EMPTY, TEXTS

SVG = "{http://www.w3.org/2000/svg}"


def test_it_lies_on_the_image(sheet):
    root = ElementTree.fromstring(svg_document(sheet, TEXTS, image_href="平面図 & 1.png"))
    assert (root.get("viewBox"), root.get("width"), root.get("height")) == ("0 0 100 120", "100", "120")
    image = root.find(f"{SVG}image")
    assert (image.get("href"), image.get("width"), image.get("height")) == ("平面図 & 1.png", "100", "120")


def test_paths(sheet):
    root = ElementTree.fromstring(svg_document(sheet, TEXTS))
    first, second, third = root.findall(f"{SVG}path")
    assert first.get("d").count("M") == 2  # a ring and a hole
    assert second.get("d").count("M") == 2  # two parts
    assert third.get("data-label") == "階段 室"
    assert third.get("d") == "M10 50L60 50L60 70L10 75.5Z"


def test_texts(sheet):
    texts = ElementTree.fromstring(svg_document(sheet, TEXTS)).findall(f"{SVG}text")
    assert [[span.text for span in text] for text in texts] == [["LDK", "12.3 m²"], ["洋室 𠮷"]]


def test_labels_are_escaped(sheet):
    strange = replace(sheet, areas=(replace(sheet[0], label='<b a="&">'),))
    root = ElementTree.fromstring(svg_document(strange, {0: "<i>"}))
    assert root.find(f"{SVG}path").get("data-label") == '<b a="&">'


def test_nothing_found():
    assert not ElementTree.fromstring(svg_document(EMPTY, {})).findall(f"{SVG}path")
