"""One of two ranks that train a tiny model in several layouts: ``parallel_ranks.py <tokens> <output> <rank>``.

Rank ``alone`` trains it by itself. Each leaves its metrics and, from rank 0, its unsharded weights.
"""

import dataclasses
import os
import sys
from pathlib import Path

from pretrain_support import Tiny, TinyConfig
from smallwright_pretrain.config import TorchTitanConfig

TENSOR, CONTEXT, PIPELINE = ({f"{kind}_parallel": 2} for kind in ("tensor", "context", "pipeline"))
LAYOUTS = {
    "tensor": ((TENSOR, 4),),
    "context": ((CONTEXT, 4),),
    "pipeline": ((PIPELINE, 4),),
    # Each goes on from the checkpoint of the one before.
    "one after another": ((PIPELINE, 2), (TENSOR, 3), ({}, 4)),
}
"""The layouts of a training, each with the last step that it does."""
SETTINGS = TorchTitanConfig(
    steps=4,
    seq_len=32,
    global_batch_size=4,
    micro_batch_size=2,
    learning_rate=1e-2,
    warmup_steps=1,
    checkpoint_interval=100,
    validation_interval=100,
    validation_sequences=3,
    eval_every=3,
    device="cpu",
)
ARCHITECTURE = Tiny(TinyConfig(num_key_value_heads=2))


def main(tokens: Path, output: Path, rank: str) -> None:
    alone = rank == "alone"
    os.environ.update(RANK="0" if alone else rank, LOCAL_RANK="0", WORLD_SIZE="1" if alone else "2")
    from smallwright_pretrain.cpu import use_device

    use_device("cpu")
    import torch
    import torchtitan.trainer
    from smallwright_pretrain.attention import inner_attention
    from smallwright_pretrain.titan import trainer_config
    from smallwright_pretrain.weights import full_state_dict, initialize

    torchtitan.trainer.time.sleep = lambda seconds: None
    world, place = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    store = torch.distributed.FileStore(str(output / f"store-{world}"), world)
    torch.distributed.init_process_group("gloo", store=store, rank=place, world_size=world)
    corpora = {"web": tokens, "code": tokens}
    trainings = {"alone": (({}, 4),)} if alone else LAYOUTS
    for name, layout, last in [(name, *part) for name, parts in trainings.items() for part in parts]:
        settings = dataclasses.replace(SETTINGS, nproc=world, **layout)
        folder = output / name
        begins = not (folder / "checkpoint").exists()
        torch.distributed.barrier()
        (snapshots := folder / "evaluations").mkdir(parents=True, exist_ok=True)
        model = ARCHITECTURE.titan_config(inner_attention=inner_attention("cpu"), seq_len=settings.seq_len)
        config = trainer_config(
            settings, model=model, name="tiny", tokens=corpora, output=folder, seed=7, snapshots=snapshots
        )
        config.training.steps = last
        trainer = config.build()
        if begins:
            initialize(trainer.model_parts[0], model, 7)
            trainer.validator.validate(trainer.model_parts, 0)  # as a resumed run does before its first step
        trainer.train()
        if last == settings.steps:
            trainer.validate_once()
        pipeline = trainer.parallel_dims.get_optional_mesh("pp")
        state = full_state_dict(trainer.model_parts[0], None if pipeline is None else pipeline.get_group())
        if place == 0:
            torch.save(state, folder / "state.pt")
        trainer.close()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
