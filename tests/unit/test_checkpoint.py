"""Saved states: exact round trips, verified bytes, fallback, pruning and full disks."""

import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.small_models import byte_tokenizer, small_model
from trainers.checkpoint import LoadedState, export_model, load_state, save_state
from trainers.folders import SaveError, save_folder, verify_folder, write_text
from trainers.optimizer import TrainedWeights
from trainers.optimizer_state import restore_training_tensors, training_tensors
from trainers.random_state import capture_random_state, restore_random_state

REPO = Path(__file__).parents[2]


def save(root: Path, step: int, keep: int = 2) -> Path:
    return save_state(root, step, {"w": torch.full((3,), float(step))}, {"cursor": step}, keep)


def load(root: Path) -> LoadedState:
    loaded = load_state(root)
    assert loaded is not None
    assert loaded.tensors["w"].tolist() == [loaded.step] * 3
    assert loaded.state == {"cursor": loaded.step}
    return loaded


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_state_comes_back_exactly(tmp_path: Path) -> None:
    tensors = {
        "bf16": torch.randn(5, 3).to(torch.bfloat16),
        "transposed": torch.randn(4, 6).t(),
        "scalar": torch.tensor(7.0),
        "empty": torch.empty(0),
        "also_empty": torch.empty(0),
        "ints": torch.arange(5),
        "special": torch.tensor([float("nan"), float("-inf"), -0.0, 1e-45]),
    }
    state = {"loss": 0.1 + 0.2, "ranks": [{"offset": 2**60}, {"text": "größer ∨"}], "none": None}
    path = save_state(tmp_path / "state", 12, tensors, state, keep=1)
    loaded = load_state(tmp_path / "state")
    assert loaded is not None
    assert (loaded.step, loaded.path, loaded.skipped) == (12, path, ())
    assert loaded.state == state
    assert loaded.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert loaded.tensors[name].shape == tensor.shape
        saved, back = tensor.reshape(-1), loaded.tensors[name].reshape(-1)
        assert torch.equal(saved.view(torch.uint8), back.view(torch.uint8))
    assert loaded.tensors["scalar"].item() == 7.0


def test_shared_memory_is_stored_once_and_views_alone(tmp_path: Path) -> None:
    base = torch.arange(1000.0)
    tensors = {"a": base, "tied": base, "view": base.view(10, 100), "slice": base[10:20]}
    path = save_state(tmp_path, 1, tensors, {}, keep=1)
    loaded = load_state(tmp_path)
    assert loaded is not None
    for name, tensor in tensors.items():
        assert torch.equal(loaded.tensors[name], tensor)
    assert loaded.tensors["tied"] is loaded.tensors["a"]
    assert (path / "tensors.safetensors").stat().st_size < 2 * 4000 + 1000


def test_nothing_saved_gives_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "missing") is None
    assert load_state(tmp_path) is None


def test_only_the_last_states_are_kept(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        save(tmp_path, step, keep=2)
    assert names(tmp_path) == ["latest", "step-000030", "step-000040"]
    assert (tmp_path / "latest").read_text() == "step-000040\n"
    with pytest.raises(ValueError, match="save_total_limit 0"):
        save(tmp_path, 50, keep=0)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "manifest.json"])
def test_flipped_byte_falls_back_and_is_named(tmp_path: Path, file: str) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    flip_byte(tmp_path / "step-000030" / file)
    with pytest.warns(UserWarning, match=rf"step 30 is skipped: .*step-000030/{file}"):
        loaded = load(tmp_path)
    assert loaded.step == 20
    assert len(loaded.skipped) == 1
    flip_byte(tmp_path / "step-000020" / file)
    flip_byte(tmp_path / "step-000010" / file)
    with pytest.warns(UserWarning) as caught:
        assert load_state(tmp_path) is None
    assert [str(warning.message).split(" is ")[0] for warning in caught] == [
        f"saved state of step {step}" for step in (30, 20, 10)
    ]


def test_missing_file_and_truncated_file_are_named(tmp_path: Path) -> None:
    save(tmp_path, 10)
    path = save(tmp_path, 20)
    os.truncate(path / "tensors.safetensors", 50)
    with pytest.raises(ValueError, match=r"tensors\.safetensors does not match its manifest"):
        verify_folder(path)
    (path / "tensors.safetensors").unlink()
    with pytest.raises(ValueError, match=r"tensors\.safetensors cannot be read: No such file"):
        verify_folder(path)
    (path / "manifest.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="not a manifest of the format"):
        verify_folder(path)


def test_state_after_the_pointer_is_the_last_resort(tmp_path: Path) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    write_text(tmp_path / "latest", "step-000010\n")
    assert load(tmp_path).step == 10
    (tmp_path / "latest").write_text("nonsense\xff")
    assert load(tmp_path).step == 20
    write_text(tmp_path / "latest", "step-000010\n")
    flip_byte(tmp_path / "step-000010" / "state.json")
    with pytest.warns(UserWarning, match="step 10 is skipped"):
        assert load(tmp_path).step == 20


def test_deleted_latest_state_is_named(tmp_path: Path) -> None:
    save(tmp_path, 10)
    write_text(tmp_path / "latest", "step-000020\n")
    with pytest.warns(UserWarning, match=r"step-000020/manifest\.json cannot be read"):
        assert load(tmp_path).step == 10


def test_saving_after_a_fallback_removes_what_lay_ahead(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    save(tmp_path, 15, keep=3)
    assert names(tmp_path) == ["latest", "step-000010", "step-000015"]


def test_leftovers_of_killed_saves_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".tmp-step-000010-0123abcd"
    leftover.mkdir()
    (leftover / "tensors.safetensors").write_bytes(b"half")
    (tmp_path / ".tmp-latest-0123abcd").write_text("step")
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, 20)
    assert names(tmp_path) == ["latest", "notes.txt", "step-000020"]


def test_folder_is_replaced_and_failure_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def first(folder: Path) -> None:
        (folder / "old").write_text("1")

    save_folder(target, first, {"of": "old"})

    def broken(folder: Path) -> None:
        (folder / "new").write_text("2")
        raise RuntimeError("stopped half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        save_folder(target, broken, {"of": "new"})
    assert verify_folder(target)["meta"] == {"of": "old"}
    assert names(tmp_path) == ["model"]

    def nested(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "new").write_text("2")

    save_folder(target, nested, {"of": "new"})
    manifest = verify_folder(target)
    assert manifest["meta"] == {"of": "new"}
    assert list(manifest["files"]) == ["sub/new"]
    assert manifest["files"]["sub/new"]["bytes"] == 1
    assert names(tmp_path) == ["model"]
    assert names(target) == ["manifest.json", "sub"]


@pytest.mark.parametrize("mask", [0o022, 0o007, 0o077])
def test_every_file_that_is_saved_follows_the_umask(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        save(tmp_path / "state", 10)
        export_model(small_model("qwen2"), byte_tokenizer(), tmp_path / "model", "card", {})
    finally:
        os.umask(old)
    for path in tmp_path.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~mask
        assert path.stat().st_mode & 0o777 == wanted, path


def test_random_states_go_on_where_they_were() -> None:
    random.gauss(0, 1)
    np.random.standard_normal(3)
    captured = json.loads(json.dumps(capture_random_state()))
    expected = draw()
    assert draw() != expected
    restore_random_state(captured)
    assert draw() == expected


def draw() -> list[float]:
    return [
        random.random(),
        random.gauss(0, 1),
        *np.random.standard_normal(3).tolist(),
        *torch.randn(3).tolist(),
    ]


def test_state_of_other_devices_is_refused() -> None:
    captured = capture_random_state() | {"cuda": ["", "", "", "", "", "", "", "", ""]}
    with pytest.raises(ValueError, match="9 CUDA devices"):
        restore_random_state(captured)


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"amsgrad": True}, {"foreach": True}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resumed_adamw_is_bit_identical(
    tmp_path: Path, options: dict[str, bool], dtype: torch.dtype
) -> None:
    ids = torch.randint(0, 300, (2, 8), generator=torch.Generator().manual_seed(0))

    def steps(trained: Trained, count: int) -> None:
        model, weights, optimizer = trained
        for _ in range(count):
            optimizer.zero_grad()
            model(ids, labels=ids).loss.backward()
            optimizer.step()
            weights.write_back()

    trained = trained_model(dtype, **options)
    steps(trained, 3)
    save_state(tmp_path, 3, training_tensors(*trained), {}, keep=1)
    steps(trained, 3)

    again = trained_model(dtype, **options)
    loaded = load_state(tmp_path)
    assert loaded is not None
    restore_training_tensors(*again, loaded.tensors)
    assert again[0].lm_head.weight is again[0].get_input_embeddings().weight
    assert again[0].dtype == dtype
    steps(again, 3)
    ours, theirs = training_tensors(*again), training_tensors(*trained)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(t.dtype == torch.float32 for n, t in ours.items() if n != "model.lm_head.weight")


Trained = tuple[Any, TrainedWeights, torch.optim.Optimizer]


def trained_model(dtype: torch.dtype = torch.float32, layers: int = 2, **options: bool) -> Trained:
    model = small_model("qwen3", num_hidden_layers=layers).to(dtype)
    weights = TrainedWeights(model)
    return model, weights, torch.optim.AdamW(weights.parameters, lr=1e-2, **options)


def test_state_of_another_model_is_refused() -> None:
    trained = trained_model()
    tensors = training_tensors(*trained_model(layers=1))
    with pytest.raises(ValueError, match=r"^the saved state is not of this model: [^\n]+$"):
        restore_training_tensors(*trained, tensors)
    tensors = training_tensors(*trained) | {"optimizer.nobody:step": torch.tensor(1.0)}
    with pytest.raises(ValueError, match="optimizer state of 'nobody'"):
        restore_training_tensors(*trained, tensors)


def test_exported_model_loads_in_auto_classes(tmp_path: Path) -> None:
    model, target = small_model("qwen3"), tmp_path / "checkpoints" / "sft"
    export_model(model, byte_tokenizer(), target, "# Card\n", {"stage": "sft"})
    manifest = verify_folder(target)
    assert manifest["meta"] == {"stage": "sft"}
    assert {"README.md", "config.json", "generation_config.json", "model.safetensors"} <= set(
        manifest["files"]
    )
    ids = torch.tensor([[3, 4, 5]])
    loaded = AutoModelForCausalLM.from_pretrained(target)
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    assert (
        AutoTokenizer.from_pretrained(target)("x1")["input_ids"]
        == byte_tokenizer()("x1")["input_ids"]
    )
    first = (target / "manifest.json").read_bytes()
    export_model(model, byte_tokenizer(), target, "# Card\n", {"stage": "sft"})
    assert (target / "manifest.json").read_bytes() == first


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk_leaves_the_previous_state(small_disk: Path) -> None:
    root = small_disk / "state"
    save(root, 10)
    with pytest.raises(
        SaveError, match=r"^cannot save .*step-000020: No space left[^\n]*free"
    ) as e:
        save_state(root, 20, {"w": torch.zeros(2**19)}, {}, keep=1)
    assert "\n" not in str(e.value)
    assert load(root).step == 10
    assert names(root) == ["latest", "step-000010"]
    save(root, 20)
    assert load(root).step == 20


def test_full_disk_leaves_the_previous_model(small_disk: Path) -> None:
    target = small_disk / "model"
    export_model(small_model("llama"), byte_tokenizer(), target, "old", {})
    large = small_model("llama", hidden_size=256)
    with pytest.raises(SaveError, match=r"^cannot save [^\n]*No space left[^\n]*$"):
        export_model(large, byte_tokenizer(), target, "new", {})
    verify_folder(target)
    assert (target / "README.md").read_text() == "old"
    assert names(small_disk) == ["model"]


def test_full_disk_at_the_pointer_leaves_the_previous_state(small_disk: Path) -> None:
    save(small_disk, 10)
    (small_disk / "filler").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    with pytest.raises(SaveError, match=r"^cannot save .*latest: No space left"):
        write_text(small_disk / "latest", "step-000020\n")
    assert load(small_disk).step == 10


def test_file_size_limit_leaves_the_previous_state(tmp_path: Path) -> None:
    save(tmp_path, 10)
    program = """
        import resource, sys, torch
        from pathlib import Path
        from trainers.checkpoint import save_state
        from trainers.folders import SaveError
        limit = 100_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            save_state(Path(sys.argv[1]), 20, {"w": torch.zeros(2**16)}, {}, keep=1)
        except SaveError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=REPO,
        check=True,
    )
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"cannot save {tmp_path}/step-000020: ")
    assert "File too large" in done.stdout
    assert load(tmp_path).step == 10
    assert names(tmp_path) == ["latest", "step-000010"]
