"""What is shipped to run in containers fits its schemas, its program and its settings, and holds no secret."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from dockerfile_parse import DockerfileParser
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from connectors.feeds.suppliers import PARTNERS
from workers.servers.temporal import SEARCH_ATTRIBUTES
from workers.settings import PREFIX, Settings
from workflows.domain.feeds import SupplierBehaviour

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose.yaml"
CONTAINERFILE = ROOT / "deploy" / "Containerfile"

VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<how>[-?])(?P<text>[^}]*))?\}")
PINNED = re.compile(r".+:\d+\.\d+(\.\d+)?([.-][\w.-]+)?(@sha256:[0-9a-f]{64})?")
SECRETIVE = re.compile(r"PASSWORD|PWD|SECRET|TOKEN")


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = YAML(typ="safe").load(COMPOSE)["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services().items() if "build" in service}


def resolved(value: object) -> str:
    """The value as Compose hands it over when the operator has set only what is required."""
    return VARIABLE.sub(lambda found: "given" if found["how"] == "?" else found["text"] or "", str(value))


OURS = sorted(ours())
ALL = sorted(services())


def test_the_compose_file_fits_the_compose_specification() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def program_of(name: str) -> list[list[str]]:
    """What a service of ours runs, and what it is asked for its health, as Python must be told to run it here."""
    service = ours()[name]
    started = [*service.get("entrypoint", ["quartermaster"]), *service["command"]]
    asked = service.get("healthcheck", {}).get("test", [])[1:]
    cli = "import sys; from workers.cli import main; sys.argv[0] = 'quartermaster'; main()"
    return [
        [sys.executable, *(["-c", cli] if words[0] == "quartermaster" else []), *words[1:]]
        for words in (started, asked)
        if words and "urlopen" not in words[-1]
    ]


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_option_is_one_of_ours(name: str) -> None:
    for words in program_of(name):
        asked = subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert asked.returncode == 0, f"{name}: {' '.join(words[-3:])}: {(asked.stdout + asked.stderr)[-500:]}"


def test_the_simulated_suppliers_behave_as_the_simulator_can_read() -> None:
    written = (COMPOSE.parent / "demo" / "suppliers.json").read_text()
    behaviours = TypeAdapter(tuple[SupplierBehaviour, ...]).validate_json(written)
    assert {one.supplier for one in behaviours} == {partner.code for partner in PARTNERS}


@pytest.mark.parametrize("name", OURS)
def test_our_services_have_settings_that_the_program_accepts_and_embed_nothing(name: str) -> None:
    given = {key: resolved(value) for key, value in ours()[name]["environment"].items() if key.startswith(PREFIX)}
    settings = Settings.from_environment(given)
    # What is no process of the engine's has nothing to do in its database.
    assert bool(settings.postgres_dsn) == ("entrypoint" not in ours()[name])
    assert settings.temporal_address
    assert settings.kafka_bootstrap
    assert settings.supplier_url
    assert settings.mode == "passive", "an installation must be told before it orders anything"


@pytest.mark.parametrize("name", ALL)
def test_no_secret_is_written_down(name: str) -> None:
    for key, value in services()[name].get("environment", {}).items():
        if SECRETIVE.search(key):
            assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", str(value)), f"{name}: {key} must come from the operator"
        assert not re.search(r"://[^/@\s]+:[^/@\s]+@", str(value)), f"{name}: {key} holds a password"


@pytest.mark.parametrize("name", ALL)
def test_every_port_is_published_on_loopback_only(name: str) -> None:
    for port in services()[name].get("ports", []):
        assert str(port).startswith("127.0.0.1:"), f"{name} publishes {port} to everybody"


@pytest.mark.parametrize("name", ALL)
def test_every_image_is_pinned_by_version(name: str) -> None:
    assert PINNED.fullmatch(services()[name]["image"])


@pytest.mark.parametrize("name", ALL)
def test_what_a_service_waits_for_exists_and_can_be_waited_for(name: str) -> None:
    known = services()
    for other, wait in services()[name].get("depends_on", {}).items():
        assert other in known
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in known[other], f"{name} waits for the health of {other}, which tells none"


@pytest.mark.parametrize("name", ALL)
def test_files_that_are_mounted_exist(name: str) -> None:
    for mount in services()[name].get("volumes", []):
        source = str(mount).split(":")[0]
        if source.startswith("."):
            assert (COMPOSE.parent / source).is_file(), f"{name} mounts {source}"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_change_nothing_but_their_state(name: str) -> None:
    service = ours()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_nobody_but_the_notary_has_its_key_its_role_and_its_password() -> None:
    notary = services()["notary"]
    settings = Settings.from_environment({k: resolved(v) for k, v in notary["environment"].items() if k[:3] == PREFIX})
    key, anchors = settings.notary_key_file, settings.anchor_directory
    assert key is not None
    assert anchors is not None
    mounts = {str(mount).split(":")[1]: str(mount).split(":")[0] for mount in notary["volumes"]}
    mine = {volume for path, volume in mounts.items() if key.is_relative_to(path)}
    assert mine == {"notary"}
    assert not any(anchors.is_relative_to(path) for path, volume in mounts.items() if volume != "anchors")
    assert "//qm_notary@" in notary["environment"]["QM_POSTGRES_DSN"]
    for name, other in services().items():
        if name == "notary":
            continue
        assert not [mount for mount in other.get("volumes", []) if str(mount).startswith("notary:")], name
        assert "QM_NOTARY_KEY_FILE" not in other.get("environment", {})
        if name != "postgres":  # which is told it when it makes the role
            assert "NOTARY_DB_PASSWORD" not in str(other.get("environment", {})), name


ROLES = {
    "migrate": "quartermaster", "intake": "qm_intake", "worker": "qm_worker", "console": "qm_console",
    "notary": "qm_notary", "operator": "qm_operator",
}  # fmt: skip
"""As whom each of our services connects; only migrations own anything."""


def test_each_of_our_services_has_its_own_role_and_no_other_ones_password() -> None:
    script = (ROOT / "deploy/postgres/roles.sh").read_text()
    found, passwords = {}, []
    for name, service in ours().items():
        environment = service["environment"]
        if dsn := environment.get("QM_POSTGRES_DSN"):
            found[name] = str(dsn).split("//")[1].split("@")[0]
            passwords.append(environment["PGPASSWORD"])
            assert f"CREATE ROLE {found[name]} LOGIN" in script
    assert found == ROLES
    assert len(set(passwords)) == len(passwords)


def test_postgres_keeps_what_it_acknowledged() -> None:
    postgres = services()["postgres"]
    written = str(postgres.get("command", "")) + str(postgres["environment"])
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert setting not in written


def test_the_namespace_knows_our_search_attributes_and_keeps_histories_for_a_month() -> None:
    script = (ROOT / "deploy/temporal/namespace.sh").read_text()
    registered = re.findall(r"--name (\w+) --type Keyword", script)
    assert sorted(registered) == sorted(SEARCH_ATTRIBUTES)
    retention = resolved(services()["temporal-namespace"]["environment"]["RETENTION"])
    assert int(retention.removesuffix("d")) >= 30


def test_every_variable_of_the_compose_file_is_explained() -> None:
    explained = (ROOT / "deploy/README.md").read_text()
    names = {found["name"] for found in VARIABLE.finditer(COMPOSE.read_text())}
    assert names
    assert not sorted(name for name in names if f"`{name}`" not in explained)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """The Containerfile's instructions with their values. The parser wants a folder that it may write to."""
    parser = DockerfileParser(str(tmp_path_factory.mktemp("image")))
    parser.content = CONTAINERFILE.read_text()
    return [(step["instruction"], step["value"]) for step in parser.structure]


def values(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [value for name, value in steps if name == instruction]


def test_the_image_starts_from_pinned_ones(steps: list[tuple[str, str]]) -> None:
    bases = [value.split(" AS ")[0] for value in values(steps, "FROM")]
    assert bases
    assert all(PINNED.fullmatch(base) for base in bases), bases


def test_the_image_installs_only_what_the_lock_vouches_for(steps: list[tuple[str, str]]) -> None:
    installs = [run for run in values(steps, "RUN") if "pip install" in run]
    assert "--require-hashes --only-binary :all: --requirement requirements.lock" in installs[0]
    assert all("--require-hashes" in run or "--no-deps --no-build-isolation" in run for run in installs)


def test_the_image_does_not_run_as_root(steps: list[tuple[str, str]]) -> None:
    assert steps[-1][0] == "CMD"
    uid, _, gid = values(steps, "USER")[-1].partition(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_the_image_runs_our_program_and_has_all_its_packages(steps: list[tuple[str, str]]) -> None:
    assert values(steps, "ENTRYPOINT") == ['["quartermaster"]']
    copied = {source for value in values(steps, "COPY") for source in value.split()[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert not [source for source in shipped if (ROOT / source).exists() and source not in copied]
    assert not any(name in {"ADD", "ARG"} for name, _ in steps), "nothing comes from the network or the command line"


def test_every_setting_of_the_image_exists(steps: list[tuple[str, str]]) -> None:
    named = re.findall(r"\bQM_[A-Z_]+", CONTAINERFILE.read_text())
    assert {name.removeprefix(PREFIX).lower() for name in named} <= set(Settings.model_fields)
