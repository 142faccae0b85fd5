# PYTHON_ARGCOMPLETE_OK
"""Bring a model to the Hugging Face hub, with a model card made of what the store knows of it.

python -m core.publish store/pretrain/shared_ffn-nano-0123456789ab --to me/my-model --license apache-2.0
python -m core.publish runs/<run> --to me/my-model --dry-run          # what would be uploaded; no network
python -m core.publish runs/<run> --to me/my-model --to-folder out    # the folder that would be uploaded; no network

The files are compared with the SHA-256 in the model's manifest first. The card says how the model was made, what it
read, what was set aside and why, and every score of it in the store. The artifact is not changed. The token is
huggingface_hub's: HF_TOKEN, or what `hf auth login` keeps. A new repository is private with --private.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import answers, card, cli, hub, lineage, store, writing
from core.errors import ArtifactError, ConfigError, InputError, named_by_user, reading

NEVER = ("checkpoint", store.WORK)
"""Folders of an artifact that are not published, and so not compared."""
LEFT_BEHIND = ("*.bin", "*.pt", "*.pth", "*.pkl", "__pycache__", ".*", "*.partial")
"""Pickles, which run code where they are loaded, and what is no part of a model."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.command_parser("core.publish", __doc__)
    parser.add_argument("model", type=Path, help="a model's artifact, a run's folder, or a Hugging Face folder")
    parser.add_argument("--to", metavar="ID", help="where on the hub: owner/name")
    parser.add_argument("--to-folder", type=Path, metavar="DIR", help="write the folder there instead of uploading it")
    parser.add_argument("--dry-run", action="store_true", help="say what would be uploaded; no network")
    parser.add_argument("--revision", help="branch to upload to, made where there is none; main unless given")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--license", help="the hub's name of a licence, for the card, such as apache-2.0")
    parser.add_argument("--store", type=Path, help="where evaluations of it are; its own store unless given")
    options = parser.parse_args(arguments)
    if options.to is None and options.to_folder is None:
        raise ConfigError("--to is not given: say where on the hub, --to owner/name, or --to-folder <dir>.")
    if options.to is not None:
        _check_id(options.to)
    folder = find(options.model)
    if options.to_folder is not None:
        gather(folder, options.to_folder, options.to, options.license, options.store)
        print(f"written: {options.to_folder}")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        gathered = Path(temporary, "model")
        gather(folder, gathered, options.to, options.license, options.store)
        if options.dry_run:
            print("\n".join(_listing(gathered, options.to, options.revision)))
        else:
            print(f"published: {upload(gathered, options.to, options.revision, private=options.private)}")
    return 0


def find(place: Path) -> Path:
    """Return the Hugging Face folder of a model: of an artifact, of a run's last model, or the folder itself.

    Raises:
        InputError: there is no model, or the report of the run is damaged.
    """
    if not place.is_dir():
        raise InputError(f"{place}: no such folder. Give a model's artifact, a run's folder, or a Hugging Face folder.")
    for folder in (place / "hf", place, *_models_of_run(place)):
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            return folder.resolve()
    raise InputError(f"{place}: no model: no config.json with *.safetensors, no hf/, and no report of a run with one.")


def _models_of_run(place: Path) -> Iterator[Path]:
    """Yield the folders of the models of a run, the last first."""
    path = place / "report.json"
    if not path.is_file():
        return
    with reading(path, "Run its command again, or give the model's artifact."):
        stages = [Path(stage["artifact"]) for stage in json.loads(path.read_text(encoding="utf-8"))["stages"]]
    yield from (artifact / "hf" for artifact in reversed(stages) if (artifact / store.MANIFEST).is_file())


def gather(model: Path, target: Path, hub_id: str | None, license: str | None, root: Path | None = None) -> None:
    """Write the folder to upload: the model's files as they are, and its card.

    Args:
        model: Hugging Face folder, in an artifact or by itself.
        target: A folder that is empty or not there yet.
        root: Store with evaluations of it; None: the store that the artifact is in.

    Raises:
        InputError: a file is not what the manifest says, or ``target`` has something in it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"--to-folder {target}: there is something already. Name a new folder.")
    artifact = model.parent
    with named_by_user(str(model), artifact):
        manifest = store.load_manifest(artifact)
    made_from, evaluations = card.Origins(manifests=()), []
    if manifest is not None and model.name == "hf":
        unread = (*NEVER, *(path.name for path in artifact.iterdir() if path.name != "hf"))
        with named_by_user(str(model), artifact):
            store.check_content(artifact, unread=unread)
        made_from = card.origins(manifest, artifact)
        evaluations = evaluations_of(artifact, root or artifact.parent.parent)
    own = model / card.FILE
    text = None
    if own.exists() and not made_from.manifests:  # a folder from elsewhere keeps its own card
        if license is not None:
            raise ConfigError(f"--license {license}: {own} is the model's own card. Name the licence there.")
    else:
        title = hub_id.rpartition("/")[2] if hub_id else artifact.name if made_from.manifests else model.name
        told = (answers.said(place) for place, _ in reversed(evaluations))
        said: list[dict[str, Any]] = next(filter(None, told), [])
        scores = scores_of(evaluations)
        text = card.compose(model, made_from, title=title, scores=scores, said=said, hub_id=hub_id, license=license)
    with writing.replacing(target) as partial:
        shutil.copytree(model, partial, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        if text is not None:
            (partial / card.FILE).write_text(text, encoding="utf-8")


def evaluations_of(model: Path, root: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return every evaluation of a model in a store with its manifest, the latest last.

    Args:
        model: Its artifact.
    """
    found: list[tuple[float, str, Path, Mapping[str, Any]]] = []
    for path in root.resolve().glob(f"eval/*/{store.MANIFEST}"):
        try:
            manifest = store.load_manifest(path.parent)
        except ArtifactError as error:
            print(f"warning: its scores are left out: {error}", file=sys.stderr)
            continue
        if manifest is None or lineage.place_of(manifest["inputs"].get("model", ""), path.parent) != model:
            continue
        found.append((manifest.get("started") or 0, path.parent.name, path.parent, manifest))
    return [entry[2:] for entry in sorted(found, key=lambda entry: entry[:2])]


def scores_of(evaluations: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """Return the rows of evaluations, the latest of each task, metric and protocol."""
    rows: dict[str, Mapping[str, Any]] = {}
    for _, manifest in evaluations:
        for row in (manifest.get("summary") or {}).get("eval", []):
            protocol = [row.get(key) for key in ("task", "metric", "num_fewshot", "n", "engine", "harness")]
            rows[json.dumps(protocol, sort_keys=True)] = row
    return list(rows.values())


def _listing(folder: Path, hub_id: str, revision: str | None) -> Iterator[str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    yield f"would publish to {hub_id}{f' at {revision}' if revision else ''}:"
    yield from (f"  {path.stat().st_size:>14,}  {path.relative_to(folder)}" for path in files)
    yield f"  {sum(path.stat().st_size for path in files):>14,}  bytes in all; nothing was uploaded."


def upload(folder: Path, hub_id: str, revision: str | None, *, private: bool) -> str:
    """Upload a folder in one commit and return its address.

    Raises:
        UserError: no token, no access, no network; the message is the hub's.
    """
    client = hub.client("core.publish")
    if client.get_token() is None:
        raise ConfigError(f"--to {hub_id}: no token of the hub: set HF_TOKEN, or run `hf auth login`.")
    api = client.HfApi()
    with hub.asking(f"--to {hub_id}", hub_id, revision=revision, or_folder=False, missing="not uploaded"):
        api.create_repo(hub_id, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(hub_id, branch=revision, exist_ok=True)
        message = "Upload the model and its card"
        return str(api.upload_folder(repo_id=hub_id, folder_path=folder, revision=revision, commit_message=message))


def _check_id(hub_id: str) -> None:
    client = hub.client("core.publish")
    try:
        client.utils.validate_repo_id(hub_id)
        named = hub_id.count("/") == 1
    except client.errors.HFValidationError:
        named = False
    if not named:
        raise ConfigError(f"--to {hub_id}: no id of the hub: write owner/name, of letters, digits, '-', '_' and '.'.")


if __name__ == "__main__":
    sys.exit(main())
