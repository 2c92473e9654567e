"""TensorFlow's side of the comparison: worker_tensorflow.py THREADS BATCH (see worker.py).

The variant is written with TensorFlow's own operations (NHWC) inside one tf.function a step. The
optimizer is the fused kernel of Adam, ResourceApplyAdam, given L2 weight decay in its gradient and
the epsilon that makes its formula the one of Kingma & Ba's Algorithm 1, as PyTorch has it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy  # noqa: E402
import tensorflow as tf  # noqa: E402

import variants  # noqa: E402
import weights  # noqa: E402
import worker  # noqa: E402

RATE, BETA1, BETA2, EPSILON, DECAY = 1e-3, 0.9, 0.999, 1e-8, 1e-5
BATCH_NORM_EPSILON, MOMENTUM = 1e-5, 0.1


def load(path: str) -> dict[str, numpy.ndarray]:
    """Float tensors in TensorFlow's order of dimensions: HWIO, [in][out]."""
    orders = {4: (2, 3, 1, 0), 2: (1, 0)}
    tensors = {name: numpy.frombuffer(tensor.data, "<f4").reshape(tensor.shape)
               for name, tensor in weights.read(path).items() if tensor.dtype == "F32"}
    return {name: value.transpose(orders.get(value.ndim, (0,))) for name, value in tensors.items()}


class Network:
    def __init__(self, variant: variants.Variant, values: dict[str, numpy.ndarray],
                 dropout: bool):
        self.variant, self.dropout = variant, dropout
        self.variables = {name: tf.Variable(value, name=name.replace(".", "_"),
                                            trainable="running" not in name)
                          for name, value in values.items()}
        self.learned = [variable for variable in self.variables.values() if variable.trainable]
        self.moments = [[tf.Variable(tf.zeros_like(variable)) for variable in self.learned]
                        for _ in range(2)]
        self.powers = [tf.Variable(1.0), tf.Variable(1.0)]  # beta^t

    def _batch_norm(self, x, name: str, training: bool):
        scale, shift, mean, variance = (self.variables[f"{name}.{part}"] for part in
                                        ("weight", "bias", "running_mean", "running_var"))
        y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=shift, mean=mean, variance=variance,
            epsilon=BATCH_NORM_EPSILON, exponential_avg_factor=MOMENTUM, is_training=training)
        if training:
            mean.assign(new_mean)
            variance.assign(new_variance)
        return y

    def _dropout(self, x, rate: float, training: bool):
        return tf.nn.dropout(x, rate) if training and self.dropout and rate else x

    def _linear(self, x, name: str):
        return tf.nn.bias_add(x @ self.variables[f"{name}.weight"], self.variables[f"{name}.bias"])

    def forward(self, x, training: bool):
        variant, index = self.variant, 0  # index: the layer's in nn.Sequential
        for i in range(variant.conv_layers):
            x = tf.nn.bias_add(tf.nn.conv2d(x, self.variables[f"conv.{index}.weight"], 1, "SAME"),
                               self.variables[f"conv.{index}.bias"])
            index += 1
            if variant.batch_norm:
                x = self._batch_norm(x, f"conv.{index}", training)
                index += 1
            x = tf.nn.relu(x)
            index += 1
            if i % variant.pool_period == 0:
                x = tf.nn.max_pool2d(x, 3, 3, "VALID")
                index += 1
        x = self._dropout(x, variant.dropout_conv, training)
        x = tf.nn.relu(self._linear(tf.reshape(x, (x.shape[0], -1)), "dense.1"))
        x = self._dropout(x, variant.dropout_output, training)
        return self._linear(x, "dense.4")

    def train(self, images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, self.forward(images, True)))
        gradients = tape.gradient(loss, self.learned)
        power1, power2 = (power.assign(power * beta)
                          for power, beta in zip(self.powers, (BETA1, BETA2)))
        for variable, gradient, first, second in zip(self.learned, gradients, *self.moments):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=first.handle, v=second.handle, beta1_power=power1,
                beta2_power=power2, lr=RATE, beta1=BETA1, beta2=BETA2,
                epsilon=EPSILON * tf.sqrt(1 - power2), grad=gradient + DECAY * variable)
        return loss

    def infer(self, images):
        return self.forward(images, False)


class TensorFlowSide(worker.Side):
    def __init__(self, threads: int, batch: int):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.random.set_seed(0)
        self.threads = threads
        pixels, labels, self.data = worker.load_batches(batch)
        self.images = [tf.constant(numpy.frombuffer(b, numpy.uint8).reshape(-1, 28, 28, 1)
                                   .astype(numpy.float32) / numpy.float32(255)) for b in pixels]
        self.labels = [tf.constant(numpy.frombuffer(b, numpy.uint8).astype(numpy.int32))
                       for b in labels]

    def describe(self) -> dict:
        return {"version": tf.__version__, "threads": self.threads, "data": self.data,
                "build": dict(tf.sysconfig.get_build_info())}

    def setups(self, mode: str) -> list[str]:
        return ["graph", "XLA"]

    def prepare(self, work: dict, setup: str) -> None:
        tf.keras.backend.clear_session()
        network = Network(variants.find(work["variant"]), load(work["weights"]), work["dropout"])
        training = work["mode"] == "train"
        self.function = tf.function(network.train if training else network.infer,
                                    jit_compile=setup == "XLA")
        self.network, self.count = network, 0  # a tf.function does not keep its variables alive
        self.arguments = list(zip(self.images, self.labels)) if training else \
            [(images,) for images in self.images]

    def step(self):
        self.count += 1
        return self.function(*self.arguments[(self.count - 1) % len(self.arguments)])

    def value(self, result) -> list[float]:
        return result.numpy().ravel().tolist()


if __name__ == "__main__":
    worker.serve(TensorFlowSide)
