"""The one operator behind NVFP4 and MXFP8 on a CPU, bit for bit what ModelOpt's own packed tensors hold."""

import pytest

torch = pytest.importorskip("torch", reason='pip install "graphfix[quantize]"')
qtensor = pytest.importorskip("modelopt.torch.quantization.qtensor", reason='pip install "graphfix[quantize]"')

from graphfix.quantize.block_quantizer import MXFP8, NVFP4, dynamic_block_quantize  # noqa: E402


def inputs():
    """Rows over twenty octaves, zeros, exact ties and exact powers of two."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(128, 512, generator=generator) * torch.exp(torch.linspace(-8, 6, 128))[:, None]
    x[0] = 0
    x[1, ::2] = 0
    x[2] = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6]).repeat(64)
    x[3] = torch.tensor([448, 1, 224, 0.5]).repeat(128)
    return x


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_nvfp4_is_modelopts(dtype):
    x = inputs().to(dtype)
    amax = x.abs().max().float()
    ours = dynamic_block_quantize(x, 16, amax, *NVFP4)
    quantized, scales, scale = qtensor.NVFP4QTensor.quantize(x, 16, None, amax / (6 * 448))
    theirs = quantized.dequantize(dtype=torch.float32, scale=scales, double_scale=scale, block_sizes={-1: 16})
    assert ours.dtype == dtype
    assert torch.equal(ours, theirs.to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_mxfp8_is_modelopts(dtype):
    x = inputs().to(dtype)
    ours = dynamic_block_quantize(x, 32, None, *MXFP8)
    quantized, scales = qtensor.MXFP8QTensor.quantize(x)
    theirs = quantized.dequantize(dtype=torch.float32, scale=scales)
    assert torch.equal(ours, theirs.to(dtype))


def test_a_calibrated_maximum_of_zero_means_a_scale_of_one():
    x = torch.tensor([[1.0] * 16])
    assert torch.equal(dynamic_block_quantize(x, 16, torch.tensor(0.0), *NVFP4), dynamic_block_quantize(x, 16, None, *NVFP4))


def test_other_formats_are_refused():
    with pytest.raises(NotImplementedError, match="blocks of elements and scales"):
        dynamic_block_quantize(torch.ones(1, 16), 16, None, 8, 0, 8, 4)
