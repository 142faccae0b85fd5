"""Stores, runs and sweeps of made-up scores, for the tests of ``core.compare``."""

import json

from core import report, store

ENGINE = {"engine": {"name": "vllm", "version": "1"}, "harness": {"name": "lm_eval", "version": "0"}}


def artifact(root, folder, name, *, stage, inputs=(), config=(), summary=(), identity=(), samples=None, **more):
    """Write a finished artifact and return its folder."""
    place = root / folder / name
    place.mkdir(parents=True)
    if samples is not None:
        (place / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    inputs = {role: str(root / path) for role, path in dict(inputs).items()}
    record = {"stage": stage, "folder": folder, "identity": dict(identity), "inputs": inputs, "external_files": []}
    store.finish(place, {**record, "config": dict(config), "summary": dict(summary), **more})
    return place


def answers(right, task="arith", metric="acc", **more):
    """Return a sample for each of a row of 0 and 1 (or other scores), with the hash of its question."""
    return [
        {"task": task, "id": f"i{n}", "correct": bool(score), "metrics": {metric: score}, "hash": f"h{n}", **more}
        for n, score in enumerate(right)
    ]


def row(samples, task="arith", metric="acc", **more):
    """Return the row of scores that samples have."""
    scores = [sample["metrics"][metric.partition(",")[0]] for sample in samples if sample["task"].startswith(task)]
    return {"task": task, "metric": metric, "value": sum(scores) / len(scores), "stderr": 0.01, "n": len(scores),
            "chance": 0.25, "higher_is_better": True, "num_fewshot": 0, **ENGINE, **more}  # fmt: skip


def documents(losses, tokens=100):
    """Return samples of held-out documents and their row."""
    samples = [
        {"task": "validation", "id": n, "correct": None, "metrics": {"nats": loss, "tokens": tokens}, "hash": f"d{n}"}
        for n, loss in enumerate(losses)
    ]
    value = sum(losses) / tokens / len(losses)
    held_out = {"task": "validation", "metric": "nats_per_token", "value": value, "stderr": 0.1, "n": len(losses)}
    return samples, {**held_out, "higher_is_better": False, "num_fewshot": 0, **ENGINE}


def run(folder, root, name, models, *, config=(), eval_config=(), losses=(3.0, 2.0, 1.0)):
    """Write the report of a run whose store is ``root``, and its artifacts.

    Args:
        models: Name of each model's stage (``pretrain`` first) to its rows and samples; None where it was not
            evaluated.
    """
    settings = {"pretrain": {"learning_rate": 0.004, "steps": 9}, "seed": 0}
    stages, lineage, rows, before = [], [], [], None
    for model, evaluated in models.items():
        kind, inputs = ("pretrain", {}) if before is None else ("posttrain", {"model": before})
        own = {**settings["pretrain"], **dict(config).get("pretrain", {})} if kind == "pretrain" else {"epochs": 1}
        summary = {"stored_parameters": 1000, "tokens": 500}
        made = artifact(root, kind, f"{name}-{model}", stage=model, inputs=inputs, config=own, summary=summary)
        before = f"{kind}/{made.name}"
        stages.append({"name": model, "status": "ran", "seconds": 2.0, "artifact": str(made),
                       "seconds_when_made": 10.0, "peak_memory_bytes": 2**30})  # fmt: skip
        lineage.append({"artifact": before, "stage": model, "inputs": inputs})
        if evaluated is not None:
            its_rows, samples = evaluated
            stage = "eval" if kind == "pretrain" else f"eval-{model}"
            judged = artifact(root, "eval", f"{name}-{model}", stage=stage, inputs={"model": before},
                              config=eval_config, samples=samples, summary={"eval": its_rows}, started=1.0)  # fmt: skip
            stages.append({"name": stage, "status": "ran", "seconds": 50.0, "artifact": str(judged)})
            lineage.append({"artifact": f"eval/{judged.name}", "stage": stage, "inputs": {"model": before}})
            rows += [{"model": model, **one} for one in its_rows]
    curve = {"key": "loss", "name": "training loss", "unit": "nats per token", "of": len(losses)}
    found = {
        "version": report.VERSION, "name": name, "headline": f"The model {name}.", "seconds": 1.0, "stages": stages,
        "eval": rows, "lineage": lineage, "config": {"seed": 0, "store": str(root), "run_dir": None, **dict(config)},
        "curves": {"pretrain": [{**curve, "points": [[n, y] for n, y in enumerate(losses)]}]},
        "posttrain": {model: {"tokens": 70} for model in list(models)[1:]},
        "pretrain": {"stored_parameters": 1000, "tokens": 500},
        "made": {"store": str(root)},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(found))
    return folder


def sweep(folder, root, values, scores):
    """Write a sweep of a run for each value of a setting, the last of which failed."""
    runs = []
    for number, (value, right) in enumerate(zip(values, scores, strict=True), 1):
        name, status = f"r{number}", "finished" if right is not None else "failed"
        if right is not None:
            samples = answers(right)
            config = {"pretrain": {"learning_rate": value}}
            run(folder / name, root, name, {"pretrain": ([row(samples)], samples)}, config=config)
        error = None if right is not None else "stage eval failed: no"
        values_of = {"pretrain.learning_rate": str(value)}
        runs.append(
            {
                "number": number,
                "values": values_of,
                "status": status,
                "error": error,
                "directory": name if right is not None else None,
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"version": 1, "runs": runs}))
    return folder
