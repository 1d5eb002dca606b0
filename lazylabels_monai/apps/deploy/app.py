"""The MONAI Deploy app: image folder -> bundle inference -> the bundle's writers."""

from __future__ import annotations

import sys
from pathlib import Path

from lazylabels_monai.apps.deploy.cuda import preload_cuda_runtime
from lazylabels_monai.threads import wait_asleep

preload_cuda_runtime()
wait_asleep()

from monai.deploy.conditions import CountCondition  # noqa: E402
from monai.deploy.core import AppContext, Application  # noqa: E402
from monai.deploy.operators.monai_bundle_inference_operator import get_bundle_config  # noqa: E402

from lazylabels_monai.apps.deploy.operators import (  # noqa: E402
    CONFIG,
    BundleOperator,
    ImageFolderOperator,
    WriterOperator,
    require_exported_name,
)
from lazylabels_monai.config_text import literal_path  # noqa: E402
from lazylabels_monai.data.datalist import find_images  # noqa: E402
from lazylabels_monai.errors import LazyLabelsError, one_sentence_errors  # noqa: E402
from lazylabels_monai.result_files import CLASSES_ENDING, image_stem  # noqa: E402

__all__ = ["LazyLabelsApp", "main"]


class LazyLabelsApp(Application):
    """Predict the images of ``HOLOSCAN_INPUT_PATH`` by the model in ``HOLOSCAN_MODEL_PATH`` into ``HOLOSCAN_OUTPUT_PATH``.

    Args:
        context: the SDK's context: paths from these variables or from the command line, and the loaded model.

    Raises:
        LazyLabelsError: when there is no model or it was renamed, there is no image, or two would write the same files.
    """

    def __init__(self, context: AppContext) -> None:
        super().__init__()  # first: Holoscan's destructor complains about an object without it
        self.context = context
        self.failed: dict[str, str] = {}
        self.paths = find_images(context.input_path)
        stems: dict[str, str] = {}
        for path in self.paths:
            if (first := stems.setdefault(image_stem(path), path)) != path:
                raise LazyLabelsError(
                    f"'{path}' and '{first}' would both write {image_stem(path)}{CLASSES_ENDING}: rename one."
                )
        models = dict(context.models.items()) if context.models else {}
        if len(models) != 1:
            raise LazyLabelsError(f"HOLOSCAN_MODEL_PATH '{context.model_path}' must hold one model, as staging leaves it.")
        self.model = Path(next(iter(models.values())).path)
        require_exported_name(self.model)

    def compose(self) -> None:
        """Link the operators."""
        parser = get_bundle_config(str(self.model), [CONFIG])
        parser["output_dir"] = literal_path(self.context.output_path)
        transforms = parser.get_parsed_content("postprocessing").transforms
        writers = [transform for transform in transforms if type(transform).__name__.startswith("Save")]
        maps = [f"{task}_probability" for task in parser["tasks"]] if parser.get_parsed_content("save_probabilities") else []
        keys = ["pred", "image", "instances", *maps]  # the first is what the SDK calls the network's output

        reader = ImageFolderOperator(
            self, CountCondition(self, len(self.paths)), paths=self.paths, failed=self.failed, name="images"
        )
        inference = BundleOperator(self, app_context=self.context, outputs=keys, bundle_path=self.model, name="bundle")
        self.add_flow(reader, inference, {("image", "image")})
        for number, transform in enumerate(writers):
            name = f"{type(transform).__name__}_{number}"
            self.add_flow(inference, WriterOperator(self, transform=transform, keys=keys, name=name), {(k, k) for k in keys})


def main() -> None:
    """Run the app; the exit code is 1 where an image failed."""
    one_sentence_errors()
    app = LazyLabelsApp(Application.init_app_context())
    app.run()
    for path, reason in app.failed.items():
        print(f"error: '{path}': {reason}", file=sys.stderr)
    if app.failed:
        raise SystemExit(1)
