"""The signs of what goes wrong on and around a GPU: memory, kernels, the driver, the libraries, the ranks."""

from __future__ import annotations

from gpuwatch_tray.runs.cause import Kind
from gpuwatch_tray.runs.sign import Weight, sign

PLAIN, ROOT, DECISIVE = Weight.PLAIN, Weight.ROOT, Weight.DECISIVE
_TORCH = "https://github.com/pytorch/pytorch/blob/main/"
_CUDA = "https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html"
_XLA = "https://github.com/openxla/xla/blob/main/xla/"
_VLLM = "https://github.com/vllm-project/vllm/blob/main/vllm/v1/"
_TENSORFLOW = "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/"
# How programs begin what CUDA said: PyTorch, NCCL, samples, CuPy, Triton ...
_OF_CUDA = (
    r"(?:(?:CUDA|Cuda|cuda)\b.{0,60}?\b(?:[Ee]rror|ERROR|failure|failed)\b|\bcuda[A-Z]\w+|\bCUDA_ERROR_\w+"
    r"|GPUassert|THCudaCheck FAIL|Triton Error|ggml_cuda\w*|CUDA Exception)"
)

GPU_SIGNS = (
    # ---- memory of the GPU
    sign("torch out of memory", Kind.GPU_MEMORY, ROOT, "cuda out of memory",
        r"CUDA out of memory(?:\. Tried to allocate|\.?$| occurred when)"
        r"|OutOfMemoryError: CUDA out of memory",
        f"{_TORCH}c10/cuda/CUDACachingAllocator.cpp"),
    sign("cuda out of memory", Kind.GPU_MEMORY, ROOT, "out of memory",
        rf"{_OF_CUDA}.{{0,120}}\bout of memory", _CUDA),
    sign("cuda memory allocation", Kind.GPU_MEMORY, ROOT, "cuda",
        r"CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|cudaMalloc\w*\b.{0,40}\bfailed", _CUDA),
    sign("xla out of memory", Kind.GPU_MEMORY, ROOT, "exhausted",
        r"(?i:resource[ _]exhausted): (?:Out of memory|Failed to allocate|OOM|CUDA)",
        f"{_XLA}tsl/framework/bfc_allocator.cc"),
    sign("tensorflow out of memory", Kind.GPU_MEMORY, ROOT, "device:gpu",
        r"OOM when allocating tensor .{0,200}device:GPU"
        r"|ResourceExhaustedError: .{0,200}device:GPU.{0,80}(?:OOM|failed to allocate)",
        f"{_TENSORFLOW}core/framework/op_kernel.cc"),
    sign("cublas allocation", Kind.GPU_MEMORY, ROOT, "alloc_failed|cufft failed to allocate",
        r"(?:CUBLAS|CUDNN|CUSPARSE|CUSOLVER|CUFFT)_(?:STATUS_)?ALLOC_FAILED|cuFFT failed to allocate",
        "https://docs.nvidia.com/cuda/cublas/index.html#cublasstatus-t"),
    sign("cupy out of memory", Kind.GPU_MEMORY, ROOT, "out of memory allocating",
        r"OutOfMemoryError: Out of memory allocating [\d,]+ bytes",
        "https://github.com/cupy/cupy/blob/main/cupy/cuda/memory.pyx"),
    sign("vllm cache", Kind.GPU_MEMORY, ROOT, "memory",
        r"No available memory for the cache blocks"
        r"|Free memory on device .{0,80}less than desired GPU memory|GPU KV cache memory"
        r"|KV cache is needed, which is larger than",
        f"{_VLLM}core/kv_cache_utils.py"),
    sign("vllm length", Kind.GPU_MEMORY, ROOT, "kv cache",
        r"larger than the maximum number of tokens that can be stored in KV cache",
        f"{_VLLM}core/kv_cache_utils.py"),
    sign("sglang memory", Kind.GPU_MEMORY, ROOT, "mem-fraction-static",
        r"Not enough memory\. Please try",
        "https://github.com/sgl-project/sglang/blob/main/python/sglang/srt/model_executor/model_runner.py"),
    sign("out of gpu memory", Kind.GPU_MEMORY, ROOT, "memory",
        r"(?i)\bout of (?:gpu|device|video) memory\b|\binsufficient memory on (?:accelerator|device|gpu)\b"
        r"|\bout of memory error on gpu\b|\bmemory on gpu \d+, .{0,80}available memory is only"
        r"|\bnot enough (?:gpu|device|cuda|video) memory\b|\b(?:could not|failed to) allocate (?:gpu"
        r"|device) memory\b|\bcuda runtime \(out of memory\)|VK_ERROR_OUT_OF_DEVICE_MEMORY",
        "https://github.com/JuliaGPU/CUDA.jl/blob/master/src/memory.jl"),
    sign("torch in other words", Kind.GPU_MEMORY, ROOT, "outofmemoryerror|executable batch size|dst tensor",
        r"^torch\.(?:cuda\.)?OutOfMemoryError(?::|$)|No executable batch size found"
        r"|Dst tensor is not initialized",
        "https://github.com/huggingface/accelerate/blob/main/src/accelerate/utils/memory.py"),
    # ---- kernels
    sign("device assert in a kernel", Kind.DEVICE_ASSERT, ROOT, "assertion",
        r"block: \[\d+,\s?\d+,\s?\d+\], thread: \[\d+,\s?\d+,\s?\d+\] Assertion ",
        "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#assertion"),
    sign("device assert", Kind.DEVICE_ASSERT, ROOT, "assert",
        r"device-side assert triggered|CUDA_ERROR_ASSERT|cudaErrorAssert\b", _CUDA),
    sign("illegal access", Kind.ILLEGAL_ACCESS, ROOT, "illegal",
        r"an illegal (?:memory access|instruction) was encountered|(?:CUDA_ERROR"
        r"|cudaError)_?(?i:illegal_?(?:address|instruction))|Warp Illegal (?:Address|Instruction)",
        _CUDA),
    sign("physx", Kind.ILLEGAL_ACCESS, ROOT, "700", r"PhysX error: .{0,120}(?:failed!?|error|returned) 700\b",
        "https://github.com/isaac-sim/IsaacLab/issues/1460"),
    sign("physx launch", Kind.ILLEGAL_ACCESS, Weight.PARTIAL, "719", r"PhysX .{0,120}[Ee]rror code 719\b",
        "https://github.com/isaac-sim/IsaacLab/issues/4668"),
    sign("launch too long", Kind.EXCEPTION, Weight.PARTIAL, "launch timed out",
        r"the launch timed out and was terminated|cudaErrorLaunchTimeout", _CUDA),
    sign("misaligned address", Kind.ILLEGAL_ACCESS, ROOT, "misaligned",
        rf"{_OF_CUDA}.{{0,80}}misaligned address|CUDA_ERROR_MISALIGNED_ADDRESS", _CUDA),
    sign("launch failure", Kind.ILLEGAL_ACCESS, Weight.PARTIAL, "launch",
        r"unspecified launch failure|CUDA_ERROR_LAUNCH_FAILED|cudaErrorLaunchFailure", _CUDA),
    # ---- the hardware
    sign("memory error", Kind.XID, ROOT, "uncorrectable",
        r"uncorrectable (?:ECC|NVLink) error\b|(?:CUDA_ERROR|cudaError)_?(?i:ecc_?uncorrectable"
        r"|nvlink_?uncorrectable)",
        _CUDA),
    sign("xid 79", Kind.GPU_LOST, DECISIVE, "xid",
        r"NVRM: Xid \([^)]{1,40}\): 79\b", "https://docs.nvidia.com/deploy/xid-errors/"),
    sign("xid", Kind.XID, DECISIVE, "xid",
        r"NVRM: Xid \([^)]{1,40}\): (?!79\b|43\b|45\b|63\b|92\b)\d+",
        "https://docs.nvidia.com/deploy/xid-errors/"),
    sign("gpu lost", Kind.GPU_LOST, ROOT, "gpu",
        r"(?:^|: )GPU is lost\b|NVML_ERROR_GPU_IS_LOST|NVMLError_GpuIsLost|GPU has fallen off the bus",
        "https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"),
    sign("fallen off the bus", Kind.GPU_LOST, ROOT, "fallen off the bus",
        r"NVRM: .{0,80}fallen off the bus", "https://github.com/NVIDIA/NVSentinel/issues/155"),
    # ---- driver, library and CUDA
    sign("nvml mismatch", Kind.DRIVER_MISMATCH, ROOT, "mismatch",
        r"(?i)driver/library version mismatch|LibRmVersionMismatch|SYSTEM_DRIVER_MISMATCH"
        r"|NVML/RM version mismatch",
        "https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html"),
    sign("driver too old", Kind.DRIVER_MISMATCH, ROOT, "driver",
        r"CUDA driver version is insufficient for CUDA runtime|NVIDIA driver on your system is too old"
        r"|system has unsupported display driver / cuda driver combination|CUDA_ERROR_INSUFFICIENT_DRIVER"
        r"|cudaErrorInsufficientDriver",
        _CUDA),
    sign("forward compatibility", Kind.DRIVER_MISMATCH, ROOT, "forward compatibility",
        r"forward compatibility was attempted on non supported HW", _CUDA),
    sign("kernel module and library", Kind.DRIVER_MISMATCH, ROOT, "dso version",
        r"kernel version [\d.]+ does not match DSO version",
        f"{_XLA}stream_executor/cuda/cuda_diagnostics.cc"),
    sign("ptx toolchain", Kind.DRIVER_MISMATCH, PLAIN, "unsupported toolchain",  # newer than the driver
        r"PTX was compiled with an unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION", _CUDA),
    # ---- no GPU to be used
    sign("nvml or cuda out of reach", Kind.NO_GPU, ROOT, "nvml|cuda unknown error",
        r"Failed to initialize NVML: (?!Driver/library)|CUDA unknown error - this may be due to",
        "https://github.com/NVIDIA/nvidia-container-toolkit/issues/48"),
    sign("no gpu", Kind.NO_GPU, ROOT, "gpu|device type",
        r"Failed to infer device type|No CUDA GPUs are available|No visible GPU devices"
        r"|your machine only has: \[|Found no GPU|No supported gpu backend|You requested gpu: \[.{0,40}\]$",
        f"{_TORCH}c10/cuda/CUDAFunctions.cpp"),
    sign("no device", Kind.NO_GPU, ROOT, "device",
        r"no CUDA-capable device is detected|CUDA-capable devices? (?:is|are) busy or unavailable"
        r"|invalid device ordinal|CUDA_ERROR_(?:NO_DEVICE|INVALID_DEVICE|DEVICE_UNAVAILABLE)"
        r"|on a CUDA device but torch\.cuda\.is_available\(\) is False"
        r"|could not select device driver .{0,20}capabilities: \[\[gpu",
        _CUDA),
    sign("no driver", Kind.NO_GPU, ROOT, "driver",
        r"Found no NVIDIA driver on your system|couldn't communicate with the NVIDIA driver",
        f"{_TORCH}torch/cuda/__init__.py"),
    sign("built without cuda", Kind.NO_GPU, ROOT, "compiled with",
        r"[Nn]ot compiled with (?:CUDA|GPU|cuda|gpu)\b", f"{_TORCH}torch/cuda/__init__.py"),
    sign("no gpu, lightning", Kind.NO_GPU, ROOT, "misconfigurationexception",
        r"MisconfigurationException: .{0,80}(?i:no .{0,20}(?:gpu|cuda)|requested gpu|only has)",
        "https://github.com/Lightning-AI/pytorch-lightning/blob/master/src/lightning/fabric/accelerators/cuda.py"),
    # ---- code that does not fit the GPU
    sign("no kernel image", Kind.NO_KERNEL_IMAGE, ROOT, "no kernel image",
        r"no kernel image is available for execution", _CUDA),
    sign("kernel image invalid", Kind.NO_KERNEL_IMAGE, ROOT, "kernel image|capability",
        r"device kernel image is invalid|requires device with capability|your GPU has capability",
        "https://github.com/facebookresearch/xformers/blob/main/xformers/ops/fmha/dispatch.py"),
    sign("no binary", Kind.NO_KERNEL_IMAGE, ROOT, "no_binary_for_gpu",
        r"CUDA_ERROR_NO_BINARY_FOR_GPU", _CUDA),
    sign("ptxas", Kind.NO_KERNEL_IMAGE, ROOT, "ptxas",
        r"ptxas fatal\s+: (?:Value 'sm_\w+' is not defined|Unsupported \.version)"
        r"|ptxas exited with non-zero error code",
        "https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/index.html"),
    sign("nvrtc", Kind.NO_KERNEL_IMAGE, ROOT, "gpu-architecture",
        r"invalid value for --gpu-architecture", "https://docs.nvidia.com/cuda/nvrtc/index.html"),
    sign("needs another gpu", Kind.NO_KERNEL_IMAGE, ROOT, "only support",
        r"only supports? (?:Ampere|Hopper|Turing|Volta|Blackwell|GPUs? with compute capability)",
        "https://github.com/Dao-AILab/flash-attention/blob/main/csrc/flash_attn/flash_api.cpp"),
    # ---- libraries of the GPU
    sign("library status", Kind.GPU_LIBRARY, ROOT, "_status_",
        r"(?:CUBLAS|CUDNN|CUSPARSE|CUSOLVER|CURAND|CUFFT|CUTENSOR)_STATUS_(?!ALLOC_FAILED"
        r"|SUCCESS)[A-Z_]{5,60}",
        "https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html#cudnnstatus-t"),
    sign("fft", Kind.GPU_LIBRARY, ROOT, "cufft",
        r"cuFFT error: CUFFT_(?!ALLOC)\w+|CUFFT_INTERNAL_ERROR",
        "https://docs.nvidia.com/cuda/cufft/index.html"),
    sign("cudnn", Kind.GPU_LIBRARY, ROOT, "cudnn",
        r"cuDNN version incompatibility|cuDNN failed to initialize|Unable to find a valid cuDNN algorithm"
        r"|Could not load library libcudnn\w*\.so|DNN library (?:initialization failed|is not found)",
        f"{_TORCH}torch/backends/cudnn/__init__.py"),
    sign("library in words", Kind.GPU_LIBRARY, ROOT, "cu",
        r"(?i)\bcu(?:solver|blas|blaslt|dnn|fft|sparse|rand|tensor)\b.{0,40}\b(?:internal error"
        r"|not (?:been )?initialized|execution failed|initialization failed|error in \w+:)"
        r"|(?i:could not (?:initialize|load|create) cu(?:dnn|blas|solver))",
        "https://github.com/jax-ml/jax/issues/21950"),
    sign("launch in a library", Kind.GPU_LIBRARY, ROOT, "blas|cudnn|execution plans",
        r"Blas \w{0,8}GEM[MV]\w* launch failed|Unable to load cuDNN|No execution plans support the graph",
        "https://github.com/NVIDIA/cudnn-frontend"),
    sign("dnn library", Kind.GPU_LIBRARY, ROOT, "dnn library",
        r"DNN library (?:initialization failed|is not found)", f"{_XLA}stream_executor/cuda/cuda_dnn.cc"),
    sign("tensorrt plan", Kind.GPU_LIBRARY, ROOT, "serialization",
        r"Serialization assertion .{0,120} failed\.|Serialization Error in verifyHeader",
        "https://github.com/NVIDIA/TensorRT/issues/3898"),
    sign("no engine", Kind.GPU_LIBRARY, ROOT, "unable to find an engine",
        r"unable to find an engine to execute this computation",
        f"{_TORCH}aten/src/ATen/native/cudnn/Conv_v8.cpp"),
    # ---- ranks that lose each other
    sign("collective timeout", Kind.COMMUNICATION, PLAIN, "timeout",
        r"[Cc]ollective operation timeout|Wait timeout in monitored barrier|RendezvousTimeoutError"
        r"|Socket Timeout$|Timeout waiting for key",
        f"{_TORCH}torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp"),
    sign("nccl error", Kind.COMMUNICATION, PLAIN, "nccl",
        r"NCCL error: |NCCL operations have failed or timed out|Timeout at NCCL work|NCCL error in: "
        r"|NCCL Error \d|ncclSystemError|ncclRemoteError|ncclInternalError|ncclUnhandledCudaError"
        r"|DistBackendError: NCCL|NCCL WARN .{0,80}(?:[Cc]onnect|[Cc]onnection|socket)",
        f"{_TORCH}torch/csrc/distributed/c10d/NCCLUtils.cpp"),
    sign("store timeout", Kind.COMMUNICATION, PLAIN, "timed out",
        r"Timed out after \d+ seconds waiting for clients|client socket has timed out after"
        r"|timed out waiting for response from rank|Barrier timed out|wait timeout after \d+ms",
        f"{_TORCH}torch/csrc/distributed/c10d/TCPStore.cpp"),
    sign("rendezvous", Kind.COMMUNICATION, PLAIN, "rendezvous",
        r"Rendezvous(?:Connection|Timeout|Closed|State)Error",
        f"{_TORCH}torch/distributed/elastic/rendezvous/api.py"),
    sign("rendezvous of the store", Kind.COMMUNICATION, PLAIN, "dist",
        r"Dist(?:Store|Network|Backend)Error(?::|$)", f"{_TORCH}torch/distributed/__init__.py"),
    sign("gloo", Kind.COMMUNICATION, PLAIN, "gloo",
        r"gloo/transport/\w+/\w+\.cc:\d+\]|Gloo connectFullMesh failed",
        "https://github.com/facebookincubator/gloo/blob/main/gloo/transport/tcp/pair.cc"),
    sign("ranks out of step", Kind.COMMUNICATION, PLAIN, "collective",
        r"mismatch between collectives on ranks|due to collective timeout or exception",
        f"{_TORCH}torch/csrc/distributed/c10d/ProcessGroupWrapper.cpp"),
    sign("jax tasks", Kind.COMMUNICATION, PLAIN, "task|jax distributed|heartbeat",
        r"JAX distributed service detected fatal errors|tasks are unhealthy|heartbeat timeout",
        f"{_XLA}tsl/distributed_runtime/coordination/coordination_service.cc"),
    sign("mpi daemons", Kind.COMMUNICATION, PLAIN, "unable to reliably start|lost communication with",
        r"(?:ORTE|PRTE) (?:was unable to reliably start|has lost communication with)",
        "https://github.com/open-mpi/ompi/issues/6618"),
    # ---- anything else that CUDA says
    sign("any cuda error", Kind.EXCEPTION, PLAIN, "cuda",
        r"^(?:\S{1,60} )?(?:E )?C(?:UDA|uda) (?:runtime |driver )?(?:[Ee]rror|[Ff]ailure)(?: \d{1,4}"
        r"| at \S{1,200})?\s?[:<(]",
        _CUDA),
)  # fmt: skip
