"""TFLM and the headers it needs, as the repository @tflite_micro; made only when a target asks for it.

From TFLM_DIR, a checkout in which `make third_party_downloads` has run (or TFLM_DOWNLOADS names a folder with flatbuffers,
gemmlowp and ruy); without TFLM_DIR fetched with git, which checks that what comes is what the commits name.
"""

# The commits that TFLM's own makefiles name at this commit of it.
_PINS = {
    "tflite-micro": ("tensorflow", "90b983c2b3f1480642e040bbd2ddb37b998f3424"),
    "flatbuffers": ("google", "187240970746d00bbd26b0f5873ed54d2477f9f3"),  # v25.9.23
    "gemmlowp": ("google", "719139ce755a0f31cbf1c37f7f98adcc7fc9f425"),
    "ruy": ("google", "d37128311b445e758136b8602d1bbd2a755e115d"),
}

# Without the BUILD files: they would cut the tree into packages that globs do not enter.
_COPY = "mkdir -p \"$2\" && tar -C \"$1\" -ch --exclude=BUILD --exclude=BUILD.bazel --exclude=WORKSPACE --exclude=.git \"${@:3}\" | tar -C \"$2\" -x"

def _run(ctx, arguments):
    result = ctx.execute(arguments, timeout = 1200)
    if result.return_code != 0:
        fail("%s: %s" % (" ".join([str(a) for a in arguments[:4]]), result.stderr))

def _fetch(ctx, name):
    owner, commit = _PINS[name]
    folder = "sources/" + name
    _run(ctx, ["git", "init", "-q", folder])
    _run(ctx, ["git", "-C", folder, "fetch", "-q", "--depth=1", "https://github.com/%s/%s" % (owner, name), commit])
    _run(ctx, ["git", "-C", folder, "checkout", "-q", "FETCH_HEAD"])
    return str(ctx.path(folder))

def _tflm_repository_impl(ctx):
    local = ctx.os.environ.get("TFLM_DIR")
    if local:
        downloads = ctx.os.environ.get("TFLM_DOWNLOADS", local + "/tensorflow/lite/micro/tools/make/downloads")
        sources = {name: downloads + "/" + name for name in _PINS}
        sources["tflite-micro"] = local
    else:
        sources = {name: _fetch(ctx, name) for name in _PINS}
    _run(ctx, ["bash", "-c", _COPY, "copy", sources["tflite-micro"], ".", "tensorflow", "signal"])
    _run(ctx, ["bash", "-c", _COPY, "copy", sources["flatbuffers"] + "/include", "flatbuffers", "."])
    _run(ctx, ["bash", "-c", _COPY, "copy", sources["gemmlowp"], "gemmlowp", "fixedpoint", "internal"])
    _run(ctx, ["bash", "-c", _COPY, "copy", sources["ruy"], "ruy_root", "ruy"])
    ctx.symlink(Label("//third_party/tflm:tflm.BUILD"), "BUILD")

tflm_repository = repository_rule(
    implementation = _tflm_repository_impl,
    environ = ["TFLM_DIR", "TFLM_DOWNLOADS"],
)
