"""OpenVINO graphs for frames: bytes in, bytes out, and no standing still when the size changes.

A graph compiled for one size is half again as fast as one for any size, but compiling it takes a
fifth of a second, in which a stream would lose frames. So the graph for any size goes on with the
stream until the one for its size is there.
"""

import os
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from .size import Size

if TYPE_CHECKING:
    import openvino

KEPT_SIZES = 8  # compiled graphs; a live stream moves between a few sizes


class FrameGraphs:
    """Infer requests with uint8 NHWC ports for the sizes that a stream takes.

    model: a graph of float planes whose first `pictures` inputs are pictures. compile: what makes
    an infer request of a model. any_size: whether the device takes graphs of free sizes, as CPUs
    do; others wait for each size.
    """

    def __init__(
        self, model: "openvino.Model", pictures: int, compile: Any, any_size: bool
    ) -> None:
        self._model, self._pictures, self._compile = model, pictures, compile
        self._any_size = any_size and model.input(0).get_partial_shape().is_dynamic
        self._meanwhile: Any = None
        self._last: Size | None = None
        self._made: OrderedDict[Size, Future[Any]] = OrderedDict()
        self._maker = ThreadPoolExecutor(1, "pellucid-compile", _give_way)

    def request(self, size: Size) -> Any:
        """For frames of this size, now; a better one may be there for later ones."""
        if self._any_size and size != self._last:
            self._last = size  # it may be the only one, such as a shot's first frame
            ready = size in self._made and self._made[size].done()
        else:
            made = self.expect(size)
            ready = not self._any_size or made.done()
        return self._made[size].result() if ready else self.for_any_size()

    def expect(self, size: Size) -> "Future[Any]":
        """Begin to compile for frames of this size, which will come."""
        if size not in self._made:
            self._made[size] = self._maker.submit(self._of_size, size)
            if len(self._made) > KEPT_SIZES:
                self._made.popitem(last=False)[1].cancel()
        self._made.move_to_end(size)
        return self._made[size]

    def for_any_size(self) -> Any:
        """What goes on with the stream meanwhile; None if the model or the device takes none."""
        if self._meanwhile is None and self._any_size:
            self._meanwhile = self._compile(self._with_bytes((-1, -1)))
        return self._meanwhile

    def _of_size(self, size: Size) -> Any:
        return self._compile(self._with_bytes(size))

    def _with_bytes(self, size: Size) -> "openvino.Model":
        import openvino as ov

        ops = ov.opset13
        model = self._model.clone()
        model.reshape(dict.fromkeys(range(self._pictures), [1, 3, *size]))
        restored = model.output(0).get_node().input_value(0)
        levels = ops.multiply(ops.clamp(restored, 0.0, 1.0), np.float32(255.0))
        levels = ops.round(levels, "half_to_even")
        model = ov.Model([levels.output(0)], model.get_parameters(), model.get_friendly_name())
        return with_byte_ports(model, self._pictures)


def _give_way() -> None:
    """The stream goes first: this thread works when nothing else does, where that can be said."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


def with_byte_ports(model: "openvino.Model", pictures: int = 1) -> "openvino.Model":
    """uint8 NHWC ports for a graph of planes: input scaled to [0, 1], output already in levels.

    pictures: how many of the first inputs are pictures."""
    import openvino

    steps = openvino.preprocess.PrePostProcessor(model)
    byte, pixels, planes = openvino.Type.u8, openvino.Layout("NHWC"), openvino.Layout("NCHW")
    for taken in (steps.input(index) for index in range(pictures)):
        taken.tensor().set_element_type(byte).set_layout(pixels)
        taken.model().set_layout(planes)
        taken.preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    given = steps.output(0)
    given.model().set_layout(planes)
    given.tensor().set_element_type(byte).set_layout(pixels)
    built: openvino.Model = steps.build()
    return built
