using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;
using TorchSharp;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

/// <summary>Samples of every form and nesting, by name.</summary>
internal static class Forms
{
    private static readonly Dictionary<string, Func<Expression>> ByName = new()
    {
        ["dense"] = () => Dense(7, 11),
        ["dense float64"] = () => Dense(7, 11, float64),
        ["dense float16"] = () => Dense(7, 11, float16),
        ["dense bfloat16"] = () => Dense(7, 11, bfloat16),
        ["product"] = () => new Product(Dense(7, 3), Dense(3, 11)),
        ["product of float64 and float32"] = () => new Product(Dense(7, 3, float64), Dense(3, 11)),
        ["product of grids"] = () => new Product(Quantized(7, 3), Quantized(3, 11)),
        ["product of products"] = () => new Product(new Product(Dense(7, 2), Dense(2, 5)), new Product(Dense(5, 4), Quantized(4, 11))),
        ["sum"] = () => new Sum(Dense(7, 11), Dense(7, 11), Dense(7, 11)),
        ["sum of one"] = () => new Sum(Dense(7, 11)),
        ["residual and adapter"] = () => new Sum(Quantized(7, 11), new Scaled(null, new Product(Dense(7, 2), Dense(2, 11)), null, 1.7)),
        ["scaled rows and columns"] = () => new Scaled(Random([7]), Dense(7, 11), Random([11])),
        ["scaled rows"] = () => new Scaled(Random([7], float64), Dense(7, 11), null),
        ["scaled columns of a sum of products"] = () => new Scaled(null, new Sum(new Product(Dense(7, 2), Dense(2, 11)), Dense(7, 11)), Random([11], float16), -0.3),
        ["signs of low rank"] = () => Signed(7, 11, 3),
        ["signs of low rank, several blocks"] = () => Signed(3, 700_001, 1),
        ["scaled stack of signs"] = () => new Scaled(null, new Sum(Signed(7, 11, 2), Signed(7, 11, 2)), Random([11])),
        ["shifted"] = () => new Shifted(Dense(7, 11), Random([11])),
        ["shifted product of grids"] = () => new Shifted(new Product(Quantized(7, 3), Quantized(3, 11)), Random([11], float16)),
        ["product shifted in float64"] = () => new Shifted(new Product(Dense(7, 3), Dense(3, 11)), Random([11], float64)),
        ["spatial product"] = () => new SpatialKernel(new Product(Dense(7 * 3, 4), Dense(4, 5 * 2)), height: 2, width: 3),
        ["spatial grid"] = () => new SpatialKernel(Quantized(4, 6), height: 3, width: 1),
        ["grid"] = () => Quantized(7, 11),
        ["grid per tensor, 3 bits, asymmetric"] = () => Quantized(7, 11, new Quantize { Bits = 3, Granularity = Granularity.Tensor, Symmetric = false }),
        ["grid per row, 8 bits, float32 scales"] = () => Quantized(7, 11, new Quantize { Bits = 8, Granularity = Granularity.Channel, ScaleType = ScaleType.Float32 }),
        ["grid with offsets"] = () => OnGrid(7, 11, ZeroKind.Offset, levels: false),
        ["grid of levels"] = () => OnGrid(7, 11, ZeroKind.None, levels: true),
        ["grid of levels with one offset"] = () => OnGrid(7, 11, ZeroKind.SharedOffset, levels: true),
        ["grid with scales on a grid"] = () => DoublyQuantized(7, 11),
        ["reshaped grid"] = () => new Reshaped(Quantized(1, 7 * 11), 7, 11),
        ["reshaped grid with scales on a reshaped grid"] = () => new Reshaped(DoublyQuantized(1, 7 * 11), 7, 11),
        ["permuted grid"] = () => new Permuted(Quantized(7, 11), Order(11)),
        ["permuted product"] = () => new Permuted(new Product(Dense(7, 3), Quantized(3, 11)), Order(11)),
        ["codebook a row"] = () => Looked(7, 11, tables: 7, codewords: 8, width: 1),
        ["codebook of vectors"] = () => Looked(7, 12, tables: 1, codewords: 300, width: 4),
        ["codebook of a row"] = () => Looked(1, 11, tables: 1, codewords: 2, width: 1),
        ["codebook of 16 bits, float16"] = () => Looked(7, 12, tables: 1, codewords: 65_536, width: 2, float16),
        ["sparse"] = () => Scattered(7, 11),
        ["sparse float16"] = () => Scattered(7, 11, dtype: float16),
        ["sparse without entries"] = () => Scattered(7, 11, share: 0),
        ["sparse of many columns"] = () => Scattered(3, 40_000),
        ["codebook and sparse"] = () => new Sum(Looked(7, 11, tables: 7, codewords: 8, width: 1), Scattered(7, 11)),
        ["grid with rounded inputs"] = () => new QuantizedInputs(new(DynamicFormat.Int4, 4), Quantized(7, 11)),
        ["product with rounded inputs and offset"] = () => new QuantizedInputs(new(DynamicFormat.Int4Unsigned, 16), new Product(Dense(7, 3), Dense(3, 11)), Random([11], float16)),
        ["branch beside a grid with scaled, rounded inputs"] = () => new Sum(
            new Product(Dense(7, 2), Dense(2, 11)), new Scaled(null, new QuantizedInputs(new(DynamicFormat.Nvfp4, 8), Quantized(7, 11)), Random([11], float16))),
        ["grid of several blocks"] = () => Quantized(3, 700_001, new Quantize { Bits = 5, GroupSize = 1000, Symmetric = false }),
    };

    public static TheoryData<string> Names => [.. ByName.Keys];

    /// <summary>Those that <see cref="Expression.Materialize"/> says everything about.</summary>
    public static TheoryData<string> LinearNames => [.. ByName.Keys.Where(name => !name.Contains("rounded inputs", StringComparison.Ordinal))];

    public static Expression Make(string name) => ByName[name]();

    public static Dense Dense(long rows, long columns, ScalarType dtype = ScalarType.Float32) => new(Random([rows, columns], dtype));

    public static SignLowRank Signed(long rows, long columns, long rank)
    {
        using var signs = Random([rows, columns], float64);
        return SignLowRank.Pack(signs, Random([rows, rank], float16), Random([rank, columns], float16));
    }

    public static Grid Quantized(long rows, long columns, Quantize? step = null)
    {
        using var scope = NewDisposeScope();
        step ??= new Quantize { GroupSize = 4 };
        var grid = GridGeometry.For(step, rows, columns);
        var rounded = RoundToNearest.Of(Random([rows, columns]), grid, step.ScaleType == ScaleType.Float16 ? float16 : float32);
        return Grid.Pack(grid, rounded.Codes, rounded.Scales, rounded.Zeros);
    }

    /// <summary>A grid of 3 bits, groups of 4 and random parts.</summary>
    public static Grid OnGrid(long rows, long columns, ZeroKind zeros, bool levels)
    {
        using var scope = NewDisposeScope();
        var geometry = new GridGeometry(rows, columns, 3, Signed: !levels, Granularity.Group, 4);
        var codes = arange(rows * columns, dtype: int64).remainder(8).add(geometry.Lowest).reshape(rows, columns).to(int16);
        var offsets = zeros switch { ZeroKind.Offset => Random(geometry.ScaleShape), ZeroKind.SharedOffset => Random([1, 1], float16), _ => null };
        return Grid.Pack(geometry, codes, Random(geometry.ScaleShape, float16), offsets, levels ? Random([8]) : null);
    }

    /// <summary>A grid whose scales are a grid around one offset.</summary>
    public static Grid DoublyQuantized(long rows, long columns)
    {
        using var scope = NewDisposeScope();
        using var grid = OnGrid(rows, columns, ZeroKind.None, levels: false);
        var (height, width) = (grid.Scales.Rows, grid.Scales.Columns);
        var inner = new GridGeometry(1, height * width, 5, false, Granularity.Group, 6);
        var codes = arange(height * width, dtype: int64).remainder(32).reshape(1, -1).to(int16);
        var scales = new Reshaped(Grid.Pack(inner, codes, Random(inner.ScaleShape).abs().to(bfloat16), full([1, 1], 0.25f)), height, width);
        return Grid.Pack(grid.Geometry, grid.UnpackedCodes(), scales, null);
    }

    public static Codebook Looked(long rows, long columns, long tables, long codewords, long width, ScalarType dtype = ScalarType.Float32)
    {
        using var scope = NewDisposeScope();
        var codes = arange(rows * columns / width, dtype: int64).mul(7919).remainder(codewords).reshape(rows, columns / width).to(int16);
        return Codebook.Pack(codes, Random([tables, codewords, width], dtype));
    }

    public static Sparse Scattered(long rows, long columns, double share = 0.2, ScalarType dtype = ScalarType.Float32)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        return Sparse.Of(Random([rows, columns]), rand(rows, columns, generator: generator) < share, dtype);
    }

    public static Tensor Order(int columns) => tensor(Enumerable.Range(0, columns).Select(j => (j * 4 + 3) % columns).ToArray());

    /// <summary>Normal values, the same for the same shape: tests run side by side and share no generator.</summary>
    public static Tensor Random(long[] shape, ScalarType dtype = ScalarType.Float32)
    {
        using var generator = new Generator((ulong)shape.Aggregate(17L, (seed, size) => seed * 31 + size));
        using var values = randn(shape, dtype: float64, generator: generator);
        return values.to(dtype);
    }
}
