"""Networks of two scales: what sees the whole picture changes nothing at first, and then tiles."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.thumbnail import shrink as shrink_array
from pellucid_student.layers import fold
from pellucid_student.net2net import grow_from
from pellucid_student.objective import StudentLoss, half_restored
from pellucid_student.plain_unet import (
    PICO,
    PICO_TWO_SCALE,
    PRESETS,
    PlainUNet,
    PlainUNetConfig,
)
from pellucid_student.precision import choose_bf16, has_bf16_products
from pellucid_student.thumbnail import GRID, area_weights, changed, enlarge, fit, shrink
from pellucid_student.train import STUDENT_TRAIN, RunConfig, train_student
from pellucid_student.weights import Provenance, load_student, parameter_count, save_student
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.data.stream import Batch

CONFIG = replace(PICO, thumbnail_widths=(8, 8))


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(config: PlainUNetConfig = CONFIG) -> PlainUNet:
    """Every parameter drawn, so that nothing is silently zero."""
    torch.manual_seed(0)
    model = PlainUNet(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("preset", "most"), [("tiny", 900_000), ("nano", 350_000), ("pico", 100_000)]
)
def test_sizes_with_everything_that_is_deployed(preset: str, most: int) -> None:
    assert parameter_count(fold(PlainUNet(PRESETS[f"{preset}-two-scale"]))) <= most


def test_a_new_whole_path_leaves_the_body_s_pictures_alone() -> None:
    small, large = drawn(PICO), PlainUNet(replace(PICO, thumbnail_widths=(8, 16)))
    grow_from(fold(small), large)
    picture = 2.0 * rand(2, 3, 48, 80) - 1.0
    assert (large(picture) - small(picture)).abs().max() < 1e-5


def test_weights_of_one_scale_say_nothing_of_a_second_and_still_load(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_student(path, drawn(), Provenance("mine", "drawn", 0, "CC0-1.0"))
    model, _ = load_student(path)
    assert model.config == CONFIG and (fold(drawn())(picture := rand(1, 3, 32, 32))).equal(
        model(picture)
    )
    older = PICO.to_dict()
    del older["thumbnail_widths"]
    assert PlainUNetConfig.from_dict(older) == PICO


@pytest.mark.parametrize("size", [(301, 457), (64, 128), (5, 3), (1, 1)])
def test_the_grid_holds_means_of_equal_areas(size: tuple[int, int]) -> None:
    picture = rand(1, 3, *size)
    cells = shrink(picture)
    assert torch.allclose(cells.mean(dim=(2, 3)), picture.mean(dim=(2, 3)), atol=1e-5)
    pixels = picture[0].permute(1, 2, 0).numpy()
    assert np.allclose(shrink_array(pixels).transpose(2, 0, 1), cells[0].numpy(), atol=1e-6)
    if min(size) > GRID:
        area = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA)
        assert np.allclose(area.transpose(2, 0, 1), cells[0].numpy(), atol=1e-5)


def test_every_pixel_is_shared_out_once() -> None:
    weights = area_weights(300, torch.empty(0))
    assert torch.allclose(weights.sum(dim=1), torch.ones(GRID), atol=1e-5)
    assert torch.allclose(weights.sum(dim=0) * 300 / GRID, torch.ones(300), atol=1e-4)


def test_a_part_is_enlarged_as_it_lies_in_the_whole() -> None:
    maps, window = rand(2, 6, GRID, GRID), torch.tensor([[40.0, 64.0, 301.0, 457.0]])
    whole = enlarge(maps, 301, 457)
    assert enlarge(maps, 100, 90, window).equal(whole[:, :, 40:140, 64:154])
    flat = torch.full((1, 1, GRID, GRID), 0.7)
    assert (enlarge(flat, 33, 500) - 0.7).abs().max() < 1e-6


def test_one_gain_and_offset_everywhere_are_slope_and_offset() -> None:
    """However flat the picture is: the fit falls back on the gain, not on 0."""
    seen = 0.5 + rand(1, 3, GRID, GRID) * torch.tensor([0.0, 1e-4, 0.5])[None, :, None, None]
    change = torch.cat([torch.full_like(seen, np.log(1.7)), torch.full_like(seen, 0.1)], dim=1)
    slope, offset = fit(seen, change).chunk(2, dim=1)
    assert (slope - 1.7).abs().max() < 1e-3 and (offset - 0.1).abs().max() < 1e-3
    wanted, gain = changed(seen, change)
    assert torch.allclose(wanted, 1.7 * seen + 0.1) and (gain - 1.7).abs().max() < 1e-6


def test_a_step_in_depth_stays_where_the_picture_has_it() -> None:
    """A veil over the far half alone: the edge of what the cells change is the picture's own."""
    seen = torch.full((1, 3, GRID, GRID), 0.2)
    seen[..., 70:] = 0.8
    log_gain = torch.zeros_like(seen)
    log_gain[..., 70:] = np.log(0.5)
    maps = fit(seen, torch.cat([log_gain, torch.zeros_like(seen)], dim=1))
    picture = torch.full((1, 3, 256, 256), 0.2)
    picture[..., 140:] = 0.8
    slope, offset = enlarge(maps, 256, 256).chunk(2, dim=1)
    expected = torch.where(picture > 0.5, 0.4, 0.2)
    assert (slope * picture + offset - expected).abs().max() < 0.02


def test_parts_with_their_whole_picture_are_parts_of_its_result() -> None:
    model = drawn(PICO_TWO_SCALE)
    picture = 2.0 * rand(1, 3, 96, 160) - 1.0
    scene = model.scene_of(picture)
    whole = model(picture, scene)
    window = torch.tensor([[0.0, 64.0, 96.0, 160.0]]).repeat(2, 1)
    part = picture[..., 64:].repeat(2, 1, 1, 1)
    given = model(part, scene.repeat(2, 1), shrink(picture).repeat(2, 1, 1, 1), window)
    assert (given[0] - whole[0, :, :, 64:])[..., 48:].abs().max() < 1e-5
    assert torch.allclose(given[0], given[1], atol=1e-5)


def test_a_later_call_sees_its_whole_picture_half_restored_too() -> None:
    model = drawn()
    thumbnail = 2.0 * rand(1, 3, GRID, GRID, seed=1) - 1.0
    window = torch.tensor([[0.0, 0.0, 64.0, 64.0]])
    batch = Batch(2.0 * rand(1, 3, 32, 32) - 1.0, rand(1, 3, 32, 32), None, None, thumbnail, window)
    seen = half_restored(model, batch, 0.6)
    toned = model(thumbnail, None, None, None, False)
    assert seen.thumbnail is not None
    assert torch.allclose(seen.thumbnail, toned + 0.6 * (thumbnail - toned), atol=1e-6)


def test_whole_pictures_teach_the_whole_path_alone() -> None:
    model = drawn().requires_grad_(True)
    pictures = 2.0 * rand(2, 3, GRID, GRID) - 1.0
    loss = StudentLoss(detailed=False)(model, Batch(pictures, -pictures), torch.Generator())
    loss.backward()  # type: ignore[no-untyped-call]
    learnt = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert "thumbnail" in learnt and not learnt & {"stem", "encoder", "decoder", "head"}


def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (200, 180, 3)).astype(np.uint8) for _ in range(2)]
    return Corpus(clean=photos, lowlight=[(photos[0] // 4, photos[0])])


@pytest.mark.slow  # draws banks of streaks and flakes
@pytest.mark.parametrize("whole", [True, False])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path, whole: bool) -> None:
    start = tmp_path / "start.safetensors"
    body = drawn(PICO)
    save_student(start, body, Provenance("pico", "drawn", 0, "CC0-1.0"))
    training = replace(STUDENT_TRAIN, steps=4, batch_size=4, workers=0, warmup=1)
    config = RunConfig(CONFIG, start, train=training, crop=32, whole=whole)

    def losses(folder: str, until: int) -> list[float]:
        found = []
        for report in train_student(config, corpus(), tmp_path / folder):
            found.append(report.loss)
            if report.step == until:
                break
        return found

    straight = losses("straight", 4)
    config = replace(config, train=replace(training, save_every=2))
    begun = losses("resumed", 3)  # saved after two
    assert begun == straight[:3]
    assert losses("resumed", 4) == straight[2:]
    if whole:
        network = PlainUNet(CONFIG)
        saved = torch.load(tmp_path / "resumed" / "state.pt", weights_only=True)["model"]
        network.load_state_dict(saved)
        assert all(
            torch.equal(value, body.state_dict()[name])
            for name, value in fold(network).state_dict().items()
            if name in fold(body).state_dict() and "weight" not in name
        )


def test_whole_pictures_need_a_network_that_sees_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two-scale"):
        next(train_student(RunConfig(PICO, whole=True), corpus(), tmp_path))


@pytest.mark.parametrize(("flags", "found"), [("fma avx512_bf16", True), ("fma avx512f", False)])
def test_the_processor_is_asked_for_bfloat16(tmp_path: Path, flags: str, found: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor: 0\nflags\t\t: {flags} sse\n")
    assert has_bf16_products(path) is found
    assert not has_bf16_products(tmp_path / "none")


def test_a_run_keeps_its_precision(tmp_path: Path) -> None:
    torch.save({"config": {"bf16": True}}, tmp_path / "state.pt")
    assert choose_bf16("auto", PICO, STUDENT_TRAIN, 32, tmp_path)[0]
    assert choose_bf16("float32", PICO, STUDENT_TRAIN, 32, tmp_path) == (False, "float32")
