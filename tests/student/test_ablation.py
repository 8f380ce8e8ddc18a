"""An ablation: restartable, equal for all variants, its table says the gain on the first."""

from pathlib import Path

import numpy as np
import pytest

from pellucid_student.ablation import VARIANTS, Ablation, Result, Variant, table
from pellucid_student.plain_unet import PlainUNetConfig
from pellucid_student.validation import ValidationCrops, hold_out
from pellucid_teacher.data.corpus import Corpus
from pellucid_teacher.training.loop import TrainConfig

SMALL = PlainUNetConfig((16, 16), (1, 1), (1,), code_width=8)


def corpus(number: int) -> Corpus:
    rng = np.random.default_rng(0)
    return Corpus([rng.integers(0, 255, (170, 180, 3)).astype(np.uint8) for _ in range(number)])


def test_nothing_is_both_learned_and_held() -> None:
    whole = corpus(12)
    training, held = hold_out(whole)
    assert len(training.clean) == 10 and len(held.clean) == 2
    assert not {id(p) for p in training.clean} & {id(p) for p in held.clean}
    with pytest.raises(ValueError, match="at least 2 clean photos"):
        hold_out(corpus(1))


@pytest.mark.slow
def test_variants_are_trained_once_and_compared(tmp_path: Path) -> None:
    training, held = hold_out(corpus(2))
    crops = ValidationCrops.draw(held, number=1, crop=32)
    config = TrainConfig(steps=2, batch_size=1, workers=0, warmup=1)
    ablation = Ablation(tmp_path, training, crops, config, crop=32)
    variant = Variant("control", VARIANTS["control"], SMALL)
    assert len(list(ablation.run(variant, 1))) == 2
    assert list(ablation.run(variant, 1)) == []
    (result,) = ablation.results()
    assert result.steps == 2 and set(result.crops) == {"1", "3"}
    # Two steps from zero: a student that begins as the identity still scores like the input.
    before = crops.psnr_in()
    assert before["clean"] == pytest.approx(60.0)
    assert all(abs(result.crops["1"][task] - before[task]) < 6.0 for task in ("rain", "noise"))
    other = Ablation(tmp_path, training, crops, TrainConfig(steps=3, batch_size=1), crop=32)
    with pytest.raises(ValueError, match="another plan"):
        list(other.run(variant, 1))


def test_table_is_the_mean_over_seeds_and_the_gain() -> None:
    def result(variant: str, seed: int, db: float) -> Result:
        return Result(
            variant, seed, 10, 5.0, {"1": {"rain": db, "noise": db + 1}}, {"1": {"s": db}}
        )

    results = [result("control", 1, 20), result("control", 2, 22), result("full", 1, 23)]
    rows = table(results, ["control", "full"], {"rain": 15.0, "noise": 16.0}, 1).splitlines()
    assert rows[2].startswith("| input | | 15.00 | 16.00 | 15.50 |")
    assert rows[3] == "| control | 2 | 21.00 | 22.00 | 21.50 | +0.00 | 21.00 | 5 |"
    assert rows[4] == "| full | 1 | 23.00 | 24.00 | 23.50 | +2.00 | 23.00 | 5 |"
    assert len({row.count("|") for row in rows}) == 1
