"""Measures, by the settings' rules, which layers and structures of the source matter."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from core.interfaces import Job

from smallwright_inherited_init import importance as scores
from smallwright_inherited_init import masks
from smallwright_inherited_init.calibration import load_model, windows
from smallwright_inherited_init.config import MEASURED_LAYERS, InheritedInitConfig
from smallwright_inherited_init.family import Dimensions
from smallwright_inherited_init.layer_choice import LayerChoice, select_layers
from smallwright_inherited_init.layer_rules import measure_layers
from smallwright_inherited_init.vocabulary import Vocabulary


class Measurement:
    """What the rules say of one source; the model and the windows are loaded when a rule first needs them."""

    def __init__(
        self,
        job: Job,
        config: InheritedInitConfig,
        source_config: Any,
        source: Dimensions,
        child: Dimensions,
        weights: Mapping[str, torch.Tensor],
        vocabulary: Vocabulary,
    ) -> None:
        self.job = job
        self.config = config
        self.source_config = source_config
        self.source = source
        self.child = child
        self.weights = weights
        self.vocabulary = vocabulary

    @functools.cached_property
    def _model(self) -> Any:
        return load_model(self.source_config, self.weights)

    @functools.cached_property
    def _windows(self) -> torch.Tensor:
        return windows(self.job, self.config, self.vocabulary)

    def layers(self) -> LayerChoice:
        """Choose the layers to keep."""
        rule, keep = self.config.layers, self.child.num_hidden_layers
        if isinstance(rule, str) and rule in MEASURED_LAYERS:
            ids_BL = self._windows
            return measure_layers(rule, self._model, ids_BL, keep, self.job.progress)
        return select_layers(rule, self.source.num_hidden_layers, keep)

    def structures(self, layers: Sequence[int]) -> scores.Importance:
        """Score heads, neurons and channels.

        Gradients and activations are those of the whole source, as it was trained; masks are learned on the source
        without its dropped layers, as they answer for the child.
        """
        rule, progress = self.config.neurons, self.job.progress
        by_norm = functools.partial(scores.of_weights, source=self.source, layers=layers, weights=list(self.weights))
        if rule in scores.NORMS:
            return by_norm(scores.weight_norm(rule, self.weights))
        ids_BL = self._windows
        if rule == "activation":
            return scores.of_activations(self._model, self.source, layers, ids_BL, progress)
        if rule == "mask":
            learned = masks.learn(
                self._model, self.source, self.child, layers, ids_BL, self.config, self.job.seed, progress
            )
            return masks.of_masks(learned, self.source, by_norm(scores.weight_norm("l2", self.weights)))
        return by_norm(scores.gradient_energy(rule, self._model, ids_BL, progress))
