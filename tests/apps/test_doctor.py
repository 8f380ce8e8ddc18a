"""`pellucid doctor`: engines, cameras, codecs, threads and traps, with fakes for what is absent."""

import importlib.metadata
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from pellucid.frames import FrameError
from pellucid.video.opening import VideoError
from pellucid_apps import __main__
from pellucid_apps.cli import app
from pellucid_apps.doctor import command as doctor
from pellucid_apps.doctor import cpu as doctor_cpu
from pellucid_apps.doctor import media as doctor_media
from pellucid_apps.doctor import packages as doctor_packages
from pellucid_apps.doctor.check import Finding, ask


def told(findings: list[Finding]) -> str:
    assert all(bool(finding.fix) == (finding.state != "ok") for finding in findings), findings
    return "\n".join(finding.line() for finding in findings)


def test_an_answer_an_error_and_silence() -> None:
    assert ask(lambda: 7, 60.0) == 7
    with pytest.raises(ZeroDivisionError):
        ask(lambda: 1 // 0, 60.0)
    never = threading.Event()
    with pytest.raises(TimeoutError, match="0.01 s"):
        ask(never.wait, 0.01)
    never.set()


def test_openvino_devices_are_named() -> None:
    pytest.importorskip("openvino", reason="pip install 'pellucid[openvino]'")
    found = doctor_packages.openvino_devices()
    assert found.state == "ok" and "CPU" in found.what


def test_a_broken_openvino_is_a_note_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it raises
    found = doctor_packages.openvino_devices()
    assert found.state == "note" and "reinstall openvino" in found.fix


def test_a_driver_that_hangs_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    class Core:
        def __init__(self) -> None:
            never.wait()

    fake = ModuleType("openvino")
    fake.Core = Core  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", fake)
    found = doctor_packages.openvino_devices(0.01)
    never.set()
    assert found.state == "note" and "hangs" in found.what and "drivers" in found.fix


def test_without_onnxruntime_the_exit_code_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "FAIL  ONNX Runtime does not load" in done.output
    assert "FAIL  restoring a photo: ModuleNotFoundError" in done.output
    assert "pip install --force-reinstall onnxruntime" in done.output
    assert done.output.endswith("pellucid cannot restore photos here\n")


@pytest.mark.parametrize("command", ["doctor", "restore"])
def test_broken_numpy_and_opencv_end_in_their_fix(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("numpy", "cv2"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys, "argv", ["pellucid", command])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("FAIL  numpy does not load")
    assert "opencv-python-headless" in lines[3]


def test_packages_old_doubled_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("packaging", reason="onnxruntime brings it")
    asked = ["numpy>=1.26", "onnxruntime>=1.20", 'av>=18; extra == "video"']
    monkeypatch.setattr(doctor_packages, "requires", lambda name: asked)
    monkeypatch.setattr(doctor_packages, "find_spec", lambda name: "here" if name == "av" else None)
    found = {"numpy": "1.9.3", "onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1", "av": "17.2"}
    text = told(list(doctor_packages.packages(lambda name: found.get(name, ""))))
    assert "note  numpy 1.9.3 is older than 1.26\n      fix: pip install 'numpy>=1.26'" in text
    assert "onnxruntime-gpu 1.31.1: they overwrite each other" in text
    assert "fix: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime" in text
    assert "note  opencv-python: not found" in text
    assert (
        "note  av 17.2 is older than 18: videos\n      fix: pip install 'pellucid[video]'" in text
    )
    assert "note  torch is absent" in text


def test_new_packages_and_any_opencv_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_packages, "find_spec", lambda name: "here")
    found = {"opencv-contrib-python-headless": "99.0"}
    # Later than any calendar version; a development version counts as well.
    text = told(list(doctor_packages.packages(lambda name: found.get(name, "9999.0.dev1"))))
    assert "is older" not in text
    only = [doctor_packages._needed("opencv-python", doctor_packages._OPENCV, lambda n: "")]
    assert "pip install opencv-python" in told(only)
    one = doctor_packages._needed(
        "opencv-python", doctor_packages._OPENCV, lambda n: found.get(n, "")
    )
    assert one == Finding("ok", "opencv-contrib-python-headless 99.0")


def test_a_source_tree_without_metadata_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor_packages, "requires", gone)
    assert doctor_packages._too_old("numpy", "0.1") == ""


def test_cameras_are_listed_by_index_and_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(doctor_media, "list_cameras", lambda: [(0, "Front"), (2, "USB")])
    (tmp_path / "video0").touch()
    text = told(list(doctor_media.cameras(tmp_path)))
    assert text.startswith("ok    cameras: 0: Front, 2: USB\n")
    assert f"--device {tmp_path / 'video2'}" in text
    assert "video0" not in text
    (tmp_path / "video2").touch()
    monkeypatch.setattr(
        "pellucid_apps.doctor.media.os.access", lambda path, how: path.name != "video2"
    )
    text = told(list(doctor_media.cameras(tmp_path)))
    assert f"{tmp_path / 'video2'} may not be opened" in text and "usermod -aG video" in text
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Privacy & Security" in told(list(doctor_media.cameras(tmp_path)))


def test_no_camera_an_unlisted_one_and_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_media, "list_cameras", list)
    assert "no camera" in told(list(doctor_media.cameras()))

    def unlisted() -> list[tuple[int, str]]:
        raise FrameError("listing cameras needs cv2-enumerate-cameras")

    monkeypatch.setattr(doctor_media, "list_cameras", unlisted)
    assert "pip install 'pellucid[cameras]'" in told(list(doctor_media.cameras()))
    never = threading.Event()
    monkeypatch.setattr(doctor_media, "list_cameras", never.wait)
    text = told(list(doctor_media.cameras(seconds=0.01)))
    never.set()
    assert "hangs (no answer within 0.01 s)" in text


def test_windows_need_a_build_and_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(doctor_media, "has_windows", lambda: False)
    assert "opencv-python-headless" in doctor_media.windows({"DISPLAY": ":0"}).fix
    monkeypatch.setattr(doctor_media, "has_windows", lambda: True)
    assert doctor_media.windows({}).fix == "live --sink page"
    assert doctor_media.windows({"WAYLAND_DISPLAY": "w"}).state == "ok"


def test_photo_codecs_here_and_in_an_opencv_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = list(doctor_media.photo_codecs())
    assert found.state == "ok" and {"jpg", "png", "webp"} <= set(found.what[8:].split(", "))
    monkeypatch.setattr("pellucid_apps.doctor.media.SUFFIXES", (".png", ".xyz"))
    text = told(list(doctor_media.photo_codecs()))
    assert "note  photos: .xyz does not work" in text and text.endswith("ok    photos: png")


def test_video_codecs_here() -> None:
    pytest.importorskip("av", reason="pip install 'pellucid[video]'")
    writes, reads = list(doctor_media.video_codecs())
    assert "h264" in writes.what and "h264" in reads.what and "av1" in reads.what


def test_codecs_that_pyav_lacks_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_media, "pyav", lambda: ModuleType("av"))
    lacking = {("libx264", "w"), ("libdav1d", "r"), ("mjpeg", "r")}
    monkeypatch.setattr(doctor_media, "_knows", lambda name, mode: (name, mode) not in lacking)
    text = told(list(doctor_media.video_codecs()))
    assert "note  PyAV writes no h264, nor recordings of `pellucid live`" in text
    assert "note  PyAV reads no mjpeg\n" in text  # another decoder of AV1 is there
    assert "pip install --force-reinstall --only-binary :all: av" in text


def test_absent_and_broken_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> ModuleType:
        raise VideoError("videos need PyAV")

    def broken() -> ModuleType:
        raise OSError("libavcodec.so.62: cannot open shared object file")

    monkeypatch.setattr(doctor_media, "pyav", absent)
    assert list(doctor_media.video_codecs()) == []  # told among the packages
    monkeypatch.setattr(doctor_media, "pyav", broken)
    assert "PyAV does not load (libavcodec" in told(list(doctor_media.video_codecs()))


def test_a_frame_of_a_video_is_restored() -> None:
    pytest.importorskip("av", reason="pip install 'pellucid[video]'")
    (found,) = doctor_media.video_job()
    assert found.state == "ok" and "a video was read, restored and written with PyAV" in found.what


@pytest.mark.parametrize("broken", ["plan_video", "restore_video", "_write_clip"])
def test_a_pyav_that_has_other_calls_fails_by_name(
    broken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyAV 19 had every codec, and every restored video ended in a traceback."""
    pytest.importorskip("av", reason="pip install 'pellucid[video]'")

    def gone(*anything: object) -> None:
        raise AttributeError("'av.Packet' object has no attribute 'time_base'")

    monkeypatch.setattr(doctor_media, broken, gone)
    (found,) = doctor_media.video_job()
    assert found.state == "FAIL" and "AttributeError: 'av.Packet' object" in found.what
    assert found.what.startswith("restoring a video with PyAV ") and found.fix
    monkeypatch.setattr(doctor, "examine", lambda: iter([found]))
    assert not doctor.run()
    assert capsys.readouterr().out.endswith("pellucid cannot restore videos here\n")


def test_an_unknown_codec_is_not_known() -> None:
    pytest.importorskip("av", reason="pip install 'pellucid[video]'")
    assert doctor_media._knows("h264", "r") and not doctor_media._knows("no such", "r")


def test_cpu_flags_of_both_kinds_of_machine(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n")
    assert {"avx2", "amx_bf16"} <= doctor_cpu.cpu_flags(cpuinfo)
    cpuinfo.write_text("Features\t: fp asimd asimddp\n")
    assert "asimddp" in doctor_cpu.cpu_flags(cpuinfo)
    assert doctor_cpu.cpu_flags(tmp_path / "none") == set()


def test_instruction_sets_without_cpuinfo_come_from_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("numpy._core._multiarray_umath")
    fake.__cpu_features__ = {"NEON": True, "ASIMDDP": True, "AVX2": False}  # type: ignore[attr-defined]
    monkeypatch.setattr(doctor_cpu, "cpu_flags", lambda path: set())
    monkeypatch.setattr(doctor_cpu, "import_module", lambda name: fake)
    text = told(list(doctor_cpu.cpu()))
    assert "instruction sets: NEON, int8 dot products (AMX" in text
    assert "AVX2" not in text


def test_a_translated_python_is_a_trap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("pellucid_apps.doctor.cpu.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(doctor_cpu, "_is_translated", lambda: True)
    assert "arm64 Python" in told(list(doctor_cpu.cpu()))


def test_threads_of_the_environment_and_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_cpu, "default_threads", lambda: 4)
    assert list(doctor_cpu.threads({}, None)) == []
    assert list(doctor_cpu.threads({}, 4.0)) == []
    text = told(list(doctor_cpu.threads({"OMP_NUM_THREADS": "1"}, 1.5)))
    assert "fix: unset OMP_NUM_THREADS" in text
    assert "1.5 cores, 4 threads would wait" in text and "fix: --threads 1," in text


def test_limits_of_both_versions_of_control_groups(tmp_path: Path) -> None:
    assert doctor_cpu.cpu_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert doctor_cpu.cpu_quota(tmp_path) is None
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("250000\n")
    assert doctor_cpu.cpu_quota(tmp_path) == 2.5
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert doctor_cpu.cpu_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert doctor_cpu.cpu_quota(tmp_path) is None


def test_a_terminal_that_prints_no_arrows(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        encoding = "cp1252"

    monkeypatch.setattr("pellucid_apps.doctor.command.sys.stdout", Terminal())
    text = told(list(doctor._surroundings()))
    assert "cp1252" in text and "PYTHONUTF8=1" in text


def test_plugins_are_named_and_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_packages, "plugin_modules", lambda: ["onnxruntime_ep_gone"])
    monkeypatch.setattr(doctor_packages, "find_spec", lambda name: None)
    text = told(list(doctor_packages.engines()))
    assert text.endswith("plug-ins of ONNX Runtime, for profile: onnxruntime_ep_gone")
