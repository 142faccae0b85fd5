"""Products of linear layers in float8: TorchTitan's converter, with the kernels of torchao.

TorchTitan and torch are imported inside functions: planning imports this module.
"""

import copy
import importlib.util
from typing import Any

from core.errors import ConfigError, MissingPluginError

from smallwright_pretrain.config import TorchTitanConfig

LEFT_OUT = ["lm_head"]
"""Of the model: the loss is most sensitive to it, as in TorchTitan's own recipes."""


def check(config: TorchTitanConfig, where: str) -> None:
    """Refuse, while planning, float8 that this machine or this layout cannot compute; imports no engine.

    Args:
        where: Place of the settings, such as ``pretrain``.

    Raises:
        ConfigError: torchao is not installed, a CPU has no float8, or a setting stands against it.
    """
    if config.float8 is None:
        if config.float8_emulate:
            raise ConfigError(
                f"{where}.float8_emulate=true: changes nothing without {where}.float8. Set it to rowwise."
            )
        return
    named = f"{where}.float8={config.float8}"
    if importlib.util.find_spec("torchao") is None:
        raise MissingPluginError(
            f"{named}: needs torchao, which is not installed. Install it: pip install 'smallwright-pretrain[float8]'"
        )
    if config.tensor_parallel > 1:
        raise ConfigError(f"{named}: its layers are not split. Set {where}.tensor_parallel=1, or leave float8 out.")
    if config.float8_emulate and config.compile:
        raise ConfigError(f"{where}.float8_emulate=true: cannot be compiled. Set {where}.compile=false.")
    if config.device == "cpu" and not config.float8_emulate:
        raise ConfigError(
            f"{named}: a CPU has no float8. Leave it out, or try its rounding, slowly: {where}.float8_emulate=true."
        )


def converted(model: Any, settings: TorchTitanConfig) -> Any:
    """Return a ``Decoder.Config`` whose linear layers multiply in float8, where the settings ask for it.

    Layers with a width that 16 does not divide stay as they are. Weights keep their names and their float32.

    Raises:
        ConfigError: the GPU has no float8.
    """
    if settings.float8 is None:
        return model
    from torchtitan.components.quantization import Float8LinearConverter

    converter = Float8LinearConverter.Config(
        recipe_name=settings.float8,
        filter_fqns=LEFT_OUT,
        emulate=settings.float8_emulate,
        model_compile_enabled=settings.compile,
    )
    try:
        return converter.build().convert(copy.deepcopy(model))
    except ValueError as error:
        raise ConfigError(
            f"pretrain.float8={settings.float8}: this device has none (NVIDIA from 8.9, AMD from MI300). Leave it out."
        ) from error
