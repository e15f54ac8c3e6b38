"""Image files: what is read exactly, and what is refused in a sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from zoo_core.errors import ConfigError
from zoo_core.evaluation.image_files import (
    MAX_PIXELS,
    FolderImages,
    decode_image,
    encode_image,
    file_stem,
    find_images,
    read_image,
)

IMAGES = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: arrays(np.uint8, (*size, 3))
)


def photo(seed: int = 0, height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(IMAGES)
def test_what_is_kept_comes_back_to_the_bit(image):
    assert np.array_equal(decode_image(encode_image(image), "x"), image)


def test_grey_palette_and_transparent_images_become_rgb(tmp_path):
    rgb = photo()
    Image.fromarray(rgb[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(rgb).convert("RGBA").save(tmp_path / "alpha.png")
    Image.fromarray(rgb // 128 * 127).quantize(8).save(tmp_path / "palette.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), rgb[:, :, :1].repeat(3, axis=2))
    assert np.array_equal(read_image(tmp_path / "alpha.png"), rgb)
    assert read_image(tmp_path / "palette.png").shape == rgb.shape


def _bomb() -> bytes:
    """A PNG of some bytes that claims 60000 x 60000 pixels."""

    def block(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = block(b"IHDR", header) + block(b"IDAT", zlib.compress(b"")) + block(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"GIF89a and more", "not an image"),
        (b"once upon a time", "not an image"),
        (png(photo())[:200], "damaged image"),
        (encode_image(photo())[:-40], "damaged image"),
        (png(photo())[:60] + bytes(40) + png(photo())[100:], "damaged image"),
        (_bomb(), "more than 64,000,000 pixels are refused"),
    ],
    ids=["empty", "other-format", "text", "cut-png", "cut-webp", "overwritten", "bomb"],
)
def test_what_is_no_whole_image_is_refused_by_name(tmp_path, data, words):
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=words) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))


def test_the_limit_is_exact(monkeypatch):
    from zoo_core.evaluation import image_files

    assert MAX_PIXELS > 4096 * 4096
    monkeypatch.setattr(image_files, "MAX_PIXELS", 24 * 40)
    decode_image(png(photo()), "x")
    with pytest.raises(ConfigError, match="41 x 24 pixels"):
        decode_image(png(photo(width=41)), "x")


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no pictures")
    with pytest.raises(ConfigError, match="no images in it"):
        find_images(tmp_path)
    with pytest.raises(ConfigError, match="a file, not a folder"):
        find_images(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match="no such folder"):
        find_images(tmp_path / "missing")


def test_real_images_are_known_by_content_and_order(tmp_path):
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    first, second = photo(1), photo(2, 30, 20)
    for name, image in {"a/1": first, "a/2": second, "b/x": first, "b/y": second}.items():
        (tmp_path / f"{name}.png").write_bytes(png(image))
    for name, image in {"c/1": second, "c/2": first}.items():
        (tmp_path / f"{name}.png").write_bytes(png(image))
    one, same, other = (FolderImages.of(tmp_path / folder) for folder in ("a", "b", "c"))
    assert len(one) == 2
    assert [image.shape for image in one] == [(24, 40, 3), (30, 20, 3)]
    assert all(np.array_equal(x, y) for x, y in zip(one, [first, second], strict=True))
    assert [image.shape for image in one] == [(24, 40, 3), (30, 20, 3)]  # and once more
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


@given(st.lists(st.text(min_size=1, max_size=60), unique=True, max_size=20))
def test_file_names_are_plain_and_tell_ids_apart(ids):
    stems = [file_stem(prompt_id) for prompt_id in ids]
    assert len({stem.lower() for stem in stems}) == len(ids)
    for stem in stems:
        assert stem.isascii()
        assert not set(stem) & set('/\\:*?"<>| ')
        assert not stem.startswith(".")


def test_plain_ids_are_their_own_file_names():
    for name in ("00017", "coco_391895", "simple-heldout-00003", "a.b"):
        assert file_stem(name) == name
