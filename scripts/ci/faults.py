"""The faults that planted_faults.py plants: one line each, of a kind that people make."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Fault:
    """`old` is a regular expression with one match in `path`, or in one other source file where
    `path` is not there; `tests` are those that should find it, in the build `build`."""
    name: str
    kind: str
    path: str
    old: str
    new: str
    tests: str
    build: str = "release"


FAULTS = (
    # Kernels.
    Fault("wrong tap of a direct convolution", "wrong index", "kernels/conv2d/direct/direct.c",
          r"\(y->tap \+ r \* y->tap_step\) \* part->b_row",
          "(y->tap + s * y->tap_step) * part->b_row", "conv2d_reference kernels_bits"),
    Fault("no barrier before a transform's multiplication", "race",
          "kernels/conv2d/transform/transform.c",
          r"cm_team_barrier\(team\);(\s+cm_trace_phase\(team, CM_PHASE_MULTIPLY\);)",
          r"\1", "kernels_bits golden"),
    Fault("no barrier before losses are added", "race",
          "kernels/elementwise/softmax_cross_entropy.c",
          r"cm_team_barrier\(team\);", "", "kernels_bits golden"),
    Fault("no barrier between batch norm's two passes", "race", "kernels/batch_norm/statistics.c",
          r"cm_team_barrier\(team\);", "", "kernels_bits golden"),
    Fault("Adam's second moment without FMA", "FMA", "kernels/elementwise/adam.c",
          r"vf_fma\(k->gradient_weight2, vf_mul\(g, g\), decayed\)",
          "vf_add(vf_mul(k->gradient_weight2, vf_mul(g, g)), decayed)", "golden"),
    Fault("the compiler may fuse multiply-adds", "FMA", "cmake/options.cmake",
          r"-ffp-contract=off", "-ffp-contract=fast", "kernels_bits golden"),
    Fault("Adam's epsilon under clang only", "one compiler", "kernels/elementwise/adam.c",
          r"(\n *)const vf ratio = ([^\n]*)",
          "\n#ifdef __clang__\n    const vf ratio = vf_div(new_m, root);\n#else\n"
          r"    const vf ratio = \2" "\n#endif", "golden kernels_bits", "clang"),
    Fault("NEON multiplies and adds without FMA", "one processor", "kernels/simd/neon.h",
          r"vfmaq_f32\(c, a, b\)", "vaddq_f32(c, vmulq_f32(a, b))", "kernels_bits golden",
          "aarch64"),
    Fault("NEON stores one lane less", "one processor", "kernels/simd/neon.h",
          r"memcpy\(p, lanes, \(size_t\)n \* sizeof \*p\)",
          "memcpy(p, lanes, (size_t)(n > 2 ? n - 1 : n) * sizeof *p)", "kernels_bits",
          "aarch64"),
    Fault("Philox leaves out the index", "random numbers", "include/convmark/philox.h",
          r"c2 = key->index", "c2 = 0", "philox golden"),
    Fault("dropout of all layers is the same", "random numbers",
          "src/core/network/step_training.c",
          r"\.index = \(uint32_t\)stage->layer", ".index = 0", "golden model parity"),
    Fault("dropout of all steps is the same", "random numbers", "src/core/network/step_training.c",
          r"\.step = \(uint32_t\)step->model->step_count", ".step = 0", "golden model"),
    # Readers.
    Fault("IDX header one byte short", "off by one", "src/core/data/idx.c",
          r"if \(count < header_size\)", "if (count + 1 < header_size)", "idx fuzz_idx"),
    Fault("IDX data may go on", "missing check", "src/core/data/idx.c",
          r"if \(count != 0\)", "if (count > 1)", "idx fuzz_idx"),
    Fault("safetensors data beyond the end of the file", "missing check",
          "src/core/network/safetensors.c", r"if \(\(uint64_t\)end > file->data_size\)",
          "if ((uint64_t)end > file->data_size + 64)", "safetensors fuzz_safetensors",
          "asan-ubsan"),
    Fault("PNG chunk beyond the end of the file", "missing check", "src/core/data/png_image.c",
          r"left < FRAME \|\| big_endian\(chunk\) > left - FRAME", "left < FRAME",
          "png_image fuzz_png_image", "asan-ubsan"),
    Fault("network text: a size may overflow", "signed overflow", "src/core/network/network_text.c",
          r"if \(number > CM_MAX_LAYER_SIZE\)", "if (number < 0)",
          "network_text fuzz_network_text", "asan-ubsan"),
    Fault("network text: a word one longer than its array", "off by one",
          "src/core/network/network_text.c",
          r"if \(end - i > MAX_WORD\)", "if (end - i > MAX_WORD + 1)",
          "network_text fuzz_network_text", "asan-ubsan"),
    Fault("shapes: one more than the array holds", "off by one", "bench/shapes.c",
          r"if \(shapes->count == BENCH_MAX_SHAPES\)", "if (shapes->count > BENCH_MAX_SHAPES)",
          "bench_shapes fuzz_shapes", "asan-ubsan"),
    Fault("JSON text grows too late", "off by one", "src/core/files/json.c",
          r"text->size \+ size \+ 2 > text->room", "text->size > text->room", "json results_file",
          "asan-ubsan"),
    Fault("safetensors: the table of tensors is not freed", "leak",
          "src/core/network/safetensors.c", r"\n *free\(file->tensors\);", "",
          "safetensors fuzz_safetensors", "asan-ubsan"),
    Fault("safetensors: bytes are freed before the table is read", "use after free",
          "src/core/files/json.c",
          r"status = cm_json_parse\(text, size, path, value, error\);\s+free\(text\);",
          "free(text);\n        status = cm_json_parse(text, size, path, value, error);",
          "json results_file", "asan-ubsan"),
    Fault("a network's layers are not zero to begin with", "uninitialised memory",
          "src/core/network/network.c", r"calloc\(CM_MAX_LAYERS, sizeof \*layers\)",
          "malloc(CM_MAX_LAYERS * sizeof *layers)", "network network_text", "asan-ubsan"),
    # Training, and what lasts.
    Fault("a checkpoint forgets Adam's step", "lost state", "src/core/train/checkpoint.c",
          r"\.step_count = \(int64_t\)take_number\(from, \"adam_steps\"\)\};",
          '.step_count = (int64_t)take_number(from, "adam_steps") + 1};',
          "checkpoint cli_checkpoint"),
    Fault("a checkpoint forgets a power of beta", "lost state", "src/core/train/checkpoint.c",
          r"adam\.beta2_power = take_power\(from, \"beta2_power\"\)",
          'adam.beta2_power = take_power(from, "beta2_power") * 0.999',
          "checkpoint cli_checkpoint"),
    Fault("a file is renamed before it is on the disk", "lost fsync",
          "src/core/files/atomic_file.c",
          r"if \(code == 0 && fsync\(fd\) != 0\)", "if (code == 0 && fd < 0)",
          "faults atomic_file"),
    Fault("plateau lowers the rate one epoch early", "off by one", "src/core/train/schedule.c",
          r"bad_epochs > plateau->patience", "bad_epochs >= plateau->patience", "schedule"),
    Fault("Adam's rate by default", "default", "src/core/network/model.c",
          r"\.learning_rate = 1e-3", ".learning_rate = 2e-3", "golden cli_train"),
    # Statistics and records.
    Fault("standard deviation divided by n", "statistics", "src/core/statistics/statistics.c",
          r"sqrt\(squares / \(n - 1\)\)", "sqrt(squares / n)", "statistics"),
    Fault("Holm's correction one step too mild", "statistics", "src/harness/compare/compare.c",
          r"ordered\[i\]->p \* \(known - i\)", "ordered[i]->p * (known - i - (known - i > 1))",
          "cli_sweep cli_files"),
    Fault("seconds recorded as milliseconds", "unit", "src/harness/record/measurement.c",
          r'\{"seconds", "s"', '{"seconds", "ms"', "measurement results_schema"),
    Fault("CSV rows without an end", "format", "src/harness/record/measurement_csv.c",
          r'fputs\("\\r\\n", out\);', "", "measurement cli_sweep cli_files"),
    # Commands.
    Fault("every error exits with 1", "exit code", "src/cli/main.c",
          r": \(int\)status;", ": status != CM_OK;", "cli_usage cli_train"),
    Fault("train --json - mixes progress into the JSON", "output", "src/cli/cmd_train.c",
          r"cm_progress_start\(run->text != NULL \? run->text : stdout",
          "cm_progress_start(stdout", "cli_train"),
    Fault("the man page names an option that is not there", "documents",
          "docs/reference/convmark.1", r"\\-\\-valid\\-steps", r"\\-\\-validsteps",
          "cli_usage docs"),
)
