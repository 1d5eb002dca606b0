"""MONAI without what nobody asked it for: large packages that it imports in case they are needed are imported when they are.

``import monai`` loads all of MONAI, and that whatever is installed of matplotlib, pandas, tensorboard, itk, OpenCV,
scikit-image and scipy, which takes longer than MONAI and torch themselves; ignite loads torch's sharded optimizers to know one
when it sees one. Programs of this package call :func:`import_late` first. Nothing is left out: a name that stands for such a
package imports it when it is used for the first time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial, wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["HEAVY", "import_late"]

#: Packages that MONAI may import late: what begins with the name, and the package that must be installed for it.
HEAVY = {
    "cv2": "cv2",
    "itk": "itk",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "nibabel": "nibabel",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "pandas": "pandas",
    "requests": "requests",
    "scipy": "scipy",
    "skimage": "skimage",
    "tensorboard": "tensorboard",
    "torch.utils.tensorboard": "tensorboard",
    "zarr": "zarr",
}


def import_late() -> None:
    """From now on MONAI's import takes what it needs and no more; without effect where MONAI is imported already."""
    if "monai" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(_AROUND))


class _Finder:
    """Finds the modules of :func:`import_late`, to do something around their execution; all else is left to the others."""

    def __init__(self, around: dict[str, Callable[[ModuleType], AbstractContextManager[None]]]) -> None:
        self.around = around

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        around = self.around.get(name)
        spec = None if around is None else PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with around(module):
                execute(module)

        spec.loader.exec_module = exec_module  # of this one loader, which is the module's own
        return spec


@contextmanager
def _monai(module: ModuleType) -> Iterator[None]:
    """Around ``monai.utils.module``: its ``optional_import`` gives a :class:`_Late` for a heavy package."""
    yield
    # configs name it so, where MONAI's import left it
    vars(sys.modules["torch.utils"]).setdefault(
        "tensorboard", _Late("torch.utils.tensorboard", partial(import_module, "torch.utils.tensorboard"))
    )
    at_once = module.optional_import

    @wraps(at_once)
    def optional_import(module: str, *args: Any, **kwargs: Any) -> tuple[Any, bool]:
        package = next((package for name, package in HEAVY.items() if f"{module}.".startswith(f"{name}.")), None)
        if package is None or module in sys.modules or not _is_installed(package):
            return at_once(module, *args, **kwargs)
        return _Late(module, lambda: at_once(module, *args, **kwargs)[0]), True

    module.optional_import = optional_import


@cache
def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


@contextmanager
def _stand_ins(*names: str) -> Iterator[None]:
    """Modules with one late attribute each, given as "module:attribute", for the time in which somebody imports that.

    Where the modules, or others in their place, are there already, or cannot be found, nothing is done.
    """
    modules = [name.partition(":")[0] for name in names]
    if any(module in sys.modules for module in modules) or not _is_installed(modules[0].partition(".")[0]):
        yield
        return
    made = {}
    for name in names:
        module, _, attribute = name.partition(":")
        made[module] = ModuleType(module)
        vars(made[module])[attribute] = _Late(module, partial(_attribute, module, attribute))
    sys.modules.update(made)
    try:
        yield
    finally:
        for module, one in made.items():
            if sys.modules.get(module) is one:
                del sys.modules[module]


def _attribute(module: str, name: str) -> Any:
    """Of a module, or a module in a package."""
    found = import_module(module)
    return getattr(found, name) if hasattr(found, name) else import_module(f"{module}.{name}")


#: What imports at once by itself, and what is done around it.
_AROUND: dict[str, Callable[[ModuleType], AbstractContextManager[None]]] = {
    "monai.utils.module": _monai,
    "monai.utils.jupyter_utils": lambda _: _stand_ins("matplotlib:pyplot", "matplotlib.pyplot:figure"),
    # to know an optimizer that is split over processes when it sees one
    "ignite.handlers.checkpoint": lambda _: _stand_ins("torch.distributed.optim:ZeroRedundancyOptimizer"),
}


class _Late:
    """A module, or something of one, that is imported when it is used for the first time.

    Args:
        module: whose import it takes.
        load: imports it and returns what this stands for.
    """

    def __init__(self, module: str, load: Callable[[], Any]) -> None:
        vars(self).update(_late_module=module, _late_load=load)

    def _late(self) -> Any:
        own = vars(self)
        if "_late_real" not in own:
            own["_late_real"] = own["_late_load"]()  # several threads may: they get the same module
        return own["_late_real"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._late(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._late(), name, value)

    def __dir__(self) -> list[str]:
        return dir(self._late())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._late()(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self._late()[key]

    def __instancecheck__(self, instance: Any) -> bool:
        # of a class whose module was never imported there is no instance
        return vars(self)["_late_module"] in sys.modules and isinstance(instance, self._late())

    def __subclasscheck__(self, subclass: type) -> bool:
        return vars(self)["_late_module"] in sys.modules and issubclass(subclass, self._late())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (self._late(),)

    def __copy__(self) -> _Late:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Late:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """As what it stands for, which another process can find by its name."""
        real = self._late()
        if isinstance(real, ModuleType):
            return import_module, (real.__name__,)
        return _itself, (real,)

    def __repr__(self) -> str:
        return f"<late {vars(self)['_late_module']}>"


def _itself(real: Any) -> Any:
    return real
