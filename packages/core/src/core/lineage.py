# PYTHON_ARGCOMPLETE_OK
"""Walk from an artifact back to the files it was made from, and forward to what was made from it.

python -m core.lineage store/pretrain/shared_ffn-nano-0123456789ab
python -m core.lineage store/crawl/demo_crawl-0123456789ab --json
python -m core.lineage crawl/page.warc.gz --store store
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import cli, store
from core.errors import ArtifactError, InputError, named_by_user

LONGEST_LIST = 8
"""Files that are shown of an artifact; --json has all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.carry_out(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    parser = cli.command_parser("core.lineage", __doc__)
    parser.add_argument("artifact", type=Path, help="an artifact's folder, or an input file such as a WARC")
    parser.add_argument("--store", type=Path, default=None, help="where to look for what was made from it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    result = lineage(options.artifact, options.store)
    print(json.dumps(result, indent=2) if options.json else render(result))
    return 0


def lineage(artifact: Path, root: Path | None = None) -> dict[str, Any]:
    """Return ``{artifact, made_from: tree, used_by: [artifact...]}``.

    Args:
        artifact: Folder of an artifact, a folder inside one, or an input file.
        root: The store to look for later artifacts in; None: the artifact's own, for a file ``./store``.

    Raises:
        InputError: no such artifact, file or store; or a manifest is damaged, which could be on the way.
    """
    if not artifact.exists():
        raise InputError(f"{artifact}: no such artifact or file.")
    artifact = artifact.resolve()
    while artifact.is_dir() and not (artifact / store.MANIFEST).is_file() and artifact != artifact.parent:
        artifact = artifact.parent  # a folder inside an artifact, such as its hf/
    if artifact.is_dir() and not (artifact / store.MANIFEST).is_file():
        raise InputError(f"no finished artifact at this place: no {store.MANIFEST} in it or above it.")
    is_file = artifact.is_file()
    root = (root or (Path("store") if is_file else artifact.parent.parent)).resolve()
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. Say where the store is: --store <dir>.")
    with named_by_user(str(artifact), f"--store {root}"):
        return {
            "artifact": str(artifact),
            "made_from": {} if is_file else made_from(artifact),
            "used_by": list(used_by(artifact, root)),
        }


def made_from(artifact: Path) -> dict[str, Any]:
    """Return the tree of an artifact's inputs, down to the external files.

    Raises:
        ArtifactError: a manifest is damaged.
    """
    manifest = store.load_manifest(artifact)
    if manifest is None:
        return {"artifact": str(artifact), "missing": True}
    return {
        "artifact": str(artifact),
        "stage": manifest["stage"],
        "plugin": manifest["identity"].get("plugin"),
        "git_commit": manifest.get("git_commit"),
        "files": [str(artifact / name) for name in manifest["files"] if manifest["folder"] == "crawl"]
        + manifest["external_files"],
        **origin_of(manifest),
        "inputs": {role: made_from(place_of(path, artifact)) for role, path in manifest["inputs"].items()},
    }


def origin_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return what an artifact's manifest says of what came from outside the store; empty: nothing did.

    Returns:
        ``origin`` (a folder or a hub id, as the user named it), ``revision`` (a commit of the hub) and ``content`` (a
        digest of the files), each where it is known.
    """
    told = dict(manifest.get("summary") or {})
    recipe = manifest["identity"].get("data")
    if "content" not in told and isinstance(recipe, Mapping) and recipe.get("files"):
        told["content"] = store.digest({"files": recipe["files"]})
    return {key: str(told[key]) for key in ("origin", "revision", "content") if told.get(key)}


def flat(artifacts: Sequence[Path], root: Path) -> list[dict[str, Any]]:
    """Return every artifact that these were made from, and they themselves, once each; an input before its user.

    Each is ``artifact``, ``stage``, ``plugin``, ``commit``, ``inputs`` (role to artifact) and ``files``, the external
    ones, and what :func:`origin_of` says. What is below ``root`` is named relative to it. An artifact whose manifest is
    damaged is ``missing``.

    Args:
        artifacts: Folders of finished artifacts.
        root: The store.
    """
    found: dict[Path, dict[str, Any]] = {}

    def visit(artifact: Path) -> None:
        if artifact in found:
            return
        try:
            manifest = store.load_manifest(artifact)
        except ArtifactError:
            manifest = None
        if manifest is None:
            found[artifact] = {"artifact": _short(artifact, root), "missing": True, "inputs": {}, "files": []}
            return
        inputs = {role: place_of(path, artifact) for role, path in manifest["inputs"].items()}
        for path in inputs.values():
            visit(path)
        made = [str(artifact / name) for name in manifest["files"] if manifest["folder"] == "crawl"]
        found[artifact] = {
            "artifact": _short(artifact, root),
            "stage": manifest["stage"],
            "plugin": manifest["identity"].get("plugin"),
            "commit": manifest.get("git_commit"),
            "inputs": {role: _short(path, root) for role, path in inputs.items()},
            "files": [_short(Path(file), root) for file in [*made, *manifest["external_files"]][:LONGEST_LIST]],
            "number_of_files": len(made) + len(manifest["external_files"]),
            **origin_of(manifest),
        }

    for artifact in artifacts:
        visit(artifact)
    return list(found.values())


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def place_of(path: str, artifact: Path) -> Path:
    """Return where an input of an artifact is: beside it, in a store that was moved or copied since."""
    beside = artifact.parent.parent / Path(path).parent.name / Path(path).name
    return beside if (beside / store.MANIFEST).is_file() else Path(path)


def used_by(origin: Path, root: Path) -> Iterator[str]:
    """Yield the artifacts of a store that were made from ``origin``, directly or not.

    Args:
        origin: An artifact or an input file, its path resolved.

    Raises:
        ArtifactError: a manifest is damaged.
    """
    folders = [path.parent for path in sorted(root.glob(f"*/*/{store.MANIFEST}"))]
    manifests = {folder: manifest for folder in folders if (manifest := store.load_manifest(folder)) is not None}
    uses = {folder: _uses(folder, manifest, origin) for folder, manifest in manifests.items()}
    reached = {str(origin)}
    reached |= {str(artifact) for artifact in manifests if origin.is_file() and artifact in origin.parents}
    growing = True
    found: list[str] = []
    while growing:
        growing = False
        for artifact in manifests:
            if str(artifact) not in reached and uses[artifact] & reached:
                reached.add(str(artifact))
                found.append(str(artifact))
                growing = True
    yield from found


def _uses(artifact: Path, manifest: Mapping[str, Any], origin: Path) -> set[str]:
    """Return the paths of what an artifact was made from, its files only where a file is asked for."""
    files = map(os.path.realpath, manifest["external_files"] if origin.is_file() else ())
    return {*(str(place_of(path, artifact)) for path in manifest["inputs"].values()), *files}


def render(result: Mapping[str, Any]) -> str:
    """Show a lineage on a terminal."""
    lines = [render_tree(result["made_from"])] if result["made_from"] else []
    lines.append("used by" if result["used_by"] else "used by nothing in this store")
    lines.extend(f"  {artifact}" for artifact in result["used_by"])
    return "\n".join(lines)


def render_tree(made_from: Mapping[str, Any]) -> str:
    """Show what an artifact was made from, an input below what was made from it."""
    lines = ["made from"]

    def show(node: Mapping[str, Any], role: str, depth: int) -> None:
        what = "MISSING" if node.get("missing") else f"{node['stage']} by {node['plugin']}"
        lines.append(f"{'  ' * depth}{role}{node['artifact']} ({what})")
        if told := ", ".join(f"{key} {node[key]}" for key in ("origin", "revision", "content") if key in node):
            lines.append(f"{'  ' * (depth + 1)}{told}")
        files = node.get("files", [])
        lines.extend(f"{'  ' * (depth + 1)}{file}" for file in files[:LONGEST_LIST])
        if len(files) > LONGEST_LIST:
            lines.append(f"{'  ' * (depth + 1)}... and {len(files) - LONGEST_LIST} more files")
        for name, child in node.get("inputs", {}).items():
            show(child, f"{name}: ", depth + 1)

    show(made_from, "", 1)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
