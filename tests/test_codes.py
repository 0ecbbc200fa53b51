from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from fakes_camera import SIDE_PX, moved, noisy, paint, profile, reference_corners, square

from edge_agent import codes
from edge_agent.codes import MarkerReader, markers_of, read, read_hard
from edge_agent.corners import refine

LEAST_READ = 119


def normal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def photos(real_data: Path) -> list[tuple[Path, str]]:
    """Every photo with a recorded text."""
    texts = [*real_data.glob("qr-zxing-blackbox/*/*.txt"), *real_data.glob("qr-jsqr-wild/*.txt")]
    pairs = []
    for text in sorted(texts):
        image = next((text.with_suffix(end) for end in (".png", ".jpg") if text.with_suffix(end).exists()), None)
        if image is not None:
            pairs.append((image, normal(text.read_bytes().decode("utf-8", errors="replace"))))
    return pairs


def test_two_readers_together_read_the_real_photos(real_data: Path) -> None:
    missed = []
    pairs = photos(real_data)
    for path, text in pairs:
        found = read_hard(cv2.imread(str(path), cv2.IMREAD_COLOR))
        if text not in [normal(code.payload) for code in found]:
            missed.append(path.name)
    assert len(pairs) == 120
    assert len(pairs) - len(missed) >= LEAST_READ, missed


@pytest.mark.parametrize(
    ("photo", "reader"),
    [
        ("qr-jsqr-wild/stickerbook-1.jpg", "zxing"),
        ("qr-zxing-blackbox/qrcode-5/16.png", "zxing"),
        ("qr-jsqr-wild/cupcake-2.jpg", "pyzbar"),
    ],
)
def test_each_reader_stands_in_where_the_other_fails(real_data: Path, photo: str, reader: str) -> None:
    path = real_data / photo
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    alone = {"zxing": codes._by_zxing(image), "pyzbar": codes._by_pyzbar(image)}
    other = "pyzbar" if reader == "zxing" else "zxing"
    text = normal(path.with_suffix(".txt").read_text("utf-8"))
    assert text in [normal(code.payload) for code in alone[reader]]
    assert text not in [normal(code.payload) for code in alone[other]]
    assert (text, reader) in [(normal(code.payload), code.reader) for code in read(image)]


def test_corners_are_found_to_a_tenth_of_a_pixel_in_a_soft_and_noisy_picture() -> None:
    rng = np.random.default_rng(1)
    errors = []
    for number in range(6):
        true = moved(reference_corners(), tuple(rng.uniform(-3, 3, 2)), rng.uniform(-1.5, 1.5))
        found = markers_of(read(noisy(paint(true, blur_px=0.6 + 0.1 * number), rng)), "TANK1")
        assert len(found) == 4
        errors += [marker.corners_px - true[marker.corner] for marker in found]
    distances = np.linalg.norm(errors, axis=2)
    assert np.sqrt((distances**2).mean()) < 0.12
    assert distances.max() < 0.4
    assert np.abs(np.mean(errors, axis=(0, 1))).max() < 0.04


def test_pyzbar_gives_the_codes_own_corners_in_its_own_order_when_the_code_is_turned() -> None:
    for degrees in (0, 30, 90, 120, 180, 270):
        true = moved({"TL": square(275, 195, SIDE_PX)}, degrees=degrees)["TL"]
        found = codes._by_pyzbar(paint({"TL": true}))
        assert [code.payload for code in found] == ["TANK1:TL"]
        assert np.linalg.norm(found[0].corners_px - true, axis=1).max() < 3


def test_a_read_that_expects_codes_that_are_all_there_spares_the_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(codes, "_by_pyzbar", lambda grey: asked.append(1) or [])
    picture = paint(reference_corners())
    read(picture, ["TANK1:TL", "TANK1:BR"])
    assert not asked
    read(picture, ["TANK1:TL", "TANK9:BR"])
    assert asked


def test_without_zbar_zxing_reads_alone_and_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "_pyzbar_decode", lambda: None)
    assert len(read(paint(reference_corners()))) == 4
    assert "install libzbar0" in codes.pyzbar_fault()


@pytest.mark.parametrize("degrees", [0, 0.6, -1.5])
def test_reader_finds_markers_beside_their_place_and_far_from_it(degrees: float) -> None:
    reader = MarkerReader(profile())
    # One and two modules are 4.3 and 8.6 px: edges fall on other edges there.
    for shift in ((0.4, -0.3), (1.4, 0), (3, 0), (4.3, 0), (0, -4.3), (8.6, 8.6), (6, 5), (-15, 12)):
        true = moved(reference_corners(), shift, degrees)
        found = {marker.corner: marker.corners_px for marker in reader(paint(true))}
        assert found.keys() == true.keys()
        assert max(np.linalg.norm(found[corner] - true[corner], axis=1).max() for corner in true) < 0.3


def test_reader_ignores_the_codes_of_another_station() -> None:
    assert MarkerReader(profile())(paint(reference_corners(), "TANK2")) == []


def test_reader_notices_within_four_pictures_when_the_codes_were_exchanged_in_place() -> None:
    reader = MarkerReader(profile())
    assert len(reader(paint(reference_corners()))) == 4
    counts = [len(reader(paint(reference_corners(), "TANK2"))) for _ in range(4)]
    assert counts == [3, 2, 1, 0]


def test_a_marker_that_the_profile_has_outside_the_picture_is_found_where_it_is() -> None:
    known = profile()
    away = msgspec.structs.replace(
        known.markers[0], corners_px=tuple((x - 900, y) for x, y in known.markers[0].corners_px)
    )
    reader = MarkerReader(msgspec.structs.replace(known, markers=(away, *known.markers[1:])))
    assert len(reader(paint(reference_corners()))) == 4


def test_a_reflection_of_a_marker_is_not_taken_for_it() -> None:
    picture = paint({"TL": square(60, 60)})
    both = cv2.hconcat([picture[:, :320], picture[:, :320][:, ::-1]])
    assert [code.payload for code in read(both)] == ["TANK1:TL", "TANK1:TL"]
    (marker,) = markers_of(read(both), "TANK1")
    assert np.abs(marker.corners_px - square(60, 60)).max() < 0.2


def test_a_colour_picture_reads_like_its_grey_one() -> None:
    picture = paint(reference_corners())
    assert {code.payload for code in read(cv2.merge([picture] * 3))} == {code.payload for code in read(picture)}


def test_edges_that_are_not_there_give_no_corners() -> None:
    flat = np.full((200, 200), 128, np.uint8)
    assert refine(flat, square(50, 50)[None], 21) == [None]


def test_a_quadrilateral_that_cuts_through_the_code_is_refused() -> None:
    true = reference_corners()
    inside = true["TL"].copy()
    inside[2] -= 14
    found = refine(paint(true), inside[None], 21)[0]
    assert found is None or np.linalg.norm(found - true["TL"], axis=1).max() < 0.3
