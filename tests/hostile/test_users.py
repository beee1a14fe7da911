"""What an unprivileged user, a hostile caller's surroundings, or a small limit can do: nothing."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..agent.resource import AGENT as RESOURCE_AGENT
from ..agent.stage import PROCESS_LIMIT_SECONDS, Result, assert_refused
from .scene import ACTS, Act, Scene, memory_folder
from .users import NAMELESS, NOBODY, install, need_root, run_as

TRAP = "import os\nos.write(2, b'trapped\\n')\nos._exit(77)\n"
MODULES = ("os", "json", "sitecustomize", "usercustomize", "syslog", "select", "lxml", "site",
           "fence_prbarrier", "encodings", "_signal", "marshal", "fcntl")  # fmt: skip


@pytest.fixture(scope="module")
def script() -> Iterator[Path]:
    """The agent as it is installed, for everybody to run."""
    need_root()
    folder = Path(memory_folder())
    folder.chmod(0o755)
    yield install(folder / "installed")
    shutil.rmtree(folder)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize("user", [NOBODY, NAMELESS])
def test_what_anybody_may_ask(script: Path, user: int) -> None:
    """No root, no name, no home, no writable directory: and it leaves nothing anywhere."""
    for words in (["-o", "manpage"], ["--help"], ["--version"],
                  ["-o", "list", "--nodes=n1:1,n2:2", "--cluster-name=c"]):  # fmt: skip
        result = run_as(user, [str(script), *words])
        assert (result.code, result.err) == (0, "") and result.out
    result = run_as(user, [str(script)], stdin=b"action=metadata\n")
    if result.code:
        assert_refused(result, "lxml", "python3-lxml")
    else:
        assert result.err == "" and "<resource-agent " in result.out


@pytest.mark.parametrize("user", [NOBODY, NAMELESS])
@pytest.mark.parametrize("name", ["logfile", "debug_file"])
def test_nobodys_log_overwrites_nothing(script: Path, scene: Scene, user: int, name: str) -> None:
    """The agent bears no privilege to lend: what its caller may not write, it does not."""
    assert not script.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)
    before = Path("/etc/passwd").read_bytes()
    words = [str(script), "-o", "status", "-n", "n2", "--nodes=n1:1,n2:2", "--cluster-name=c"]
    for path in ("/etc/passwd", "/etc/prbarrier-new", "/proc/1/mem"):
        option = f"--{name.replace('_', '-')}={path}"
        assert_refused(run_as(user, [*words, option, "-d", "/dev/none"]), path)
        assert not os.path.exists("/etc/prbarrier-new")
    assert Path("/etc/passwd").read_bytes() == before


@pytest.mark.parametrize("user", [NOBODY, NAMELESS])
def test_nobody_reaches_no_device_and_no_memory(script: Path, scene: Scene, user: int) -> None:
    scene.restore("joined")
    before, memories = scene.pictures(), scene.memories()
    scene.folder.chmod(0o755)
    try:
        for action, plug in (("on", "n1"), ("off", "n2"), ("status", "n2"), ("monitor", ""),
                             ("clear", "n2")):  # fmt: skip
            words = scene.words("n1", action, plug)[3:]
            words += ["--confirm"] if action == "clear" else []
            assert_refused(run_as(user, [str(script), *words]))
    finally:
        scene.folder.chmod(0o700)
    assert (scene.pictures(), scene.memories()) == (before, memories)


@pytest.mark.parametrize("place", ["cwd", "PYTHONPATH", "PYTHONHOME", "HOME", "script's folder"])
def test_modules_of_an_attacker(script: Path, scene: Scene, home: Path, place: str) -> None:
    """Root starts the agent in a folder, or with an environment, that somebody else prepared."""
    for name in MODULES:
        (home / f"{name}.py").write_text(TRAP)
    (home / "prbarrier.pth").write_text("import os; os._exit(77)\n")
    (home / "pyvenv.cfg").write_text(f"home = {home}\n")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    user_site = home / ".local" / "lib" / version / "site-packages"
    user_site.mkdir(parents=True)
    (user_site / "x.pth").write_text("import os; os._exit(77)\n")
    environment = {"PYTHONSTARTUP": str(home / "os.py"), "PYTHONINSPECT": "1",
                   "PYTHONOPTIMIZE": "2", "PYTHONPYCACHEPREFIX": str(home),
                   "PYTHONBREAKPOINT": "os.abort",
                   "PYTHONWARNINGS": "error", "PYTHONDUMPREFS": "1", "TMPDIR": str(home),
                   "PATH": str(home), "LC_ALL": "xx_XX.none", "LANGUAGE": "../..",
                   "PYTHONIOENCODING": "rot13", "OCF_ROOT": str(home)}  # fmt: skip
    if place in ("PYTHONPATH", "PYTHONHOME", "HOME"):
        environment[place] = str(home)
    program = str(script)
    if place == "script's folder":
        # As installed in a folder of programs where an attacker could put a module beside it.
        program = str(shutil.copy(script, home / "fence"))
    scene.restore("joined")
    for action, plug, code in (("off", "n2", 0), ("metadata", "", None)):
        words = [program, *scene.words("n1", action, plug)[3:]]
        done = subprocess.run(
            words, cwd=home if place == "cwd" else "/", env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PROCESS_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        assert b"trapped" not in done.stderr and done.returncode in (0, 1), (place, done)
        if code is not None:
            assert (done.returncode, done.stdout) == (0, b"Success: Powered OFF\n"), done
    assert not list(home.glob("**/*.pyc"))


def test_hostile_words_from_the_resource_managers_environment(scene: Scene) -> None:
    """A name for the instance is no path, and other variables are no parameters."""
    scene.restore("joined")
    act = next(act for act in ACTS if act.name == "resource start")
    for name in ("../../evil", "/etc/evil", "a/b", "..", ".", "x" * 300, "a\nb", "\udcff"):
        words, environment = act.call(scene)
        environment.update({"OCF_RESOURCE_INSTANCE": name, "HA_RSCTMP": "/", "OCF_ROOT": "/x",
                            "OCF_RESKEY_debug_file_": "/etc/evil"})  # fmt: skip
        done = subprocess.run(
            words, cwd=scene.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=PROCESS_LIMIT_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        marks = {each for each in os.listdir(scene.state("n1")) if each.startswith("running-")}
        assert marks and all("/" not in each for each in marks)
    assert not os.path.exists("/etc/evil") and not (scene.folder / "evil").exists()
    assert RESOURCE_AGENT.exists()


def test_a_working_directory_that_is_gone(scene: Scene, script: Path, tmp_path: Path) -> None:
    scene.restore("joined")
    gone = tmp_path / "gone"
    gone.mkdir()
    words = " ".join(f"'{word}'" for word in [str(script), *scene.words("n1", "off", "n2")[3:]])
    done = subprocess.run(
        ["/bin/sh", "-c", f"rmdir {gone}; exec {words}"], cwd=gone, env={},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PROCESS_LIMIT_SECONDS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"Success: Powered OFF\n"), done


# -- limits ----------------------------------------------------------------------------------------

LIMITS = [
    *[(resource.RLIMIT_NOFILE, number) for number in (3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20)],
    *[(resource.RLIMIT_AS, number << 20) for number in (8, 12, 14, 16, 20, 24, 28, 32, 40, 64)],
    *[(resource.RLIMIT_DATA, number << 20) for number in (1, 2, 4, 8)],
    *[(resource.RLIMIT_FSIZE, number) for number in (0, 100, 1000)],
    *[(resource.RLIMIT_STACK, number << 10) for number in (64, 256)],
]  # fmt: skip
NAMES = {resource.RLIMIT_NOFILE: "files", resource.RLIMIT_AS: "memory",
         resource.RLIMIT_DATA: "data", resource.RLIMIT_FSIZE: "file size",
         resource.RLIMIT_STACK: "stack"}  # fmt: skip


def _run_limited(scene: Scene, act: Act, kind: int, limit: int) -> Result:
    def become() -> None:
        resource.setrlimit(kind, (limit, limit))

    words, environment = act.call(scene)
    done = subprocess.run(
        words, cwd=scene.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=PROCESS_LIMIT_SECONDS, check=False, preexec_fn=become,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("name", ["on, first", "off", "status, on", "resource start", "watchdog"])
@pytest.mark.parametrize("kind", NAMES, ids=NAMES.get)
def test_a_small_limit(scene: Scene, name: str, kind: int) -> None:
    """Done, or a failure in words once the interpreter has begun; and the next run does it all."""
    act = next(act for act in ACTS if act.name == name)
    for limit in [number for each, number in LIMITS if each == kind]:
        scene.restore(act.situation)
        result = _run_limited(scene, act, kind, limit)
        assert act.falsehoods(scene, result) == [], (limit, result)
        assert result.code == 0 or result.err or act.face == "watchdog", (limit, result)
        if "fence_prbarrier" in result.err:
            assert "Traceback" not in result.err or "frozen" in result.err, (limit, result)
        again = act.run(scene)
        assert again.code == act.code and act.falsehoods(scene, again) == [], (limit, again)
