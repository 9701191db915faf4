using PipelineDsl.Runtime.Quantization;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class GridTests
{
    public static TheoryData<int, bool> BitsAndSymmetry => new MatrixTheoryData<int, bool>([2, 3, 4, 5, 6, 7, 8], [true, false]);

    [Theory]
    [MemberData(nameof(BitsAndSymmetry))]
    public void Bytes_are_what_the_step_predicts(int bits, bool symmetric)
    {
        foreach (var granularity in Enum.GetValues<Granularity>())
        {
            foreach (var scaleType in Enum.GetValues<ScaleType>())
            {
                foreach (var (rows, columns, group) in new[] { (5, 13, 4), (1, 1, 2), (3, 16, 16), (4, 9, 32) })
                {
                    var step = new Quantize { Bits = bits, Symmetric = symmetric, Granularity = granularity, ScaleType = scaleType, GroupSize = group };
                    using var grid = Forms.Quantized(rows, columns, step);
                    grid.Bytes.ShouldBe(step.BytesFor(rows, columns));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(BitsAndSymmetry))]
    public void Every_code_survives_packing(int bits, bool symmetric)
    {
        using var scope = NewDisposeScope();
        int count = 1 << bits;
        var geometry = new GridGeometry(3, count + 3, bits, symmetric, Granularity.Channel, 1);
        var codes = arange(3 * (count + 3), dtype: int64).remainder(count).add(geometry.Lowest).reshape(3, count + 3).to(int16);
        var offsets = symmetric ? null : tensor(new byte[] { 0, 1, (byte)geometry.Highest }).reshape(3, 1);
        using var grid = Grid.Pack(geometry, codes, tensor(new[] { 1f, 0.5f, 3f }).reshape(3, 1), offsets?.clone());
        var shifted = offsets is null ? codes : codes - offsets.to(int16);
        Compare.SameBits(grid.Dequantize(), shifted.to(float32) * tensor(new[] { 1f, 0.5f, 3f }).reshape(3, 1)).ShouldBeTrue();
    }

    [Fact]
    public void Codes_are_packed_low_bits_first_and_each_row_starts_a_byte()
    {
        using var scope = NewDisposeScope();
        var geometry = new GridGeometry(2, 3, 3, true, Granularity.Tensor, 1);
        var codes = tensor(new short[] { 1, -1, 2, -4, 3, 0 }).reshape(2, 3);
        using var grid = Grid.Pack(geometry, codes, ones(1, 1), null);
        grid.Codes.data<byte>().ToArray().ShouldBe([0b10_111_001, 0b0, 0b00_011_100, 0b0]);
    }

    [Fact]
    public void Rows_can_be_dequantised_by_themselves()
    {
        using var scope = NewDisposeScope();
        using var grid = Forms.Quantized(9, 10, new Quantize { Bits = 3, GroupSize = 4, Symmetric = false });
        Compare.SameBits(grid.Dequantize(2, 5), grid.Dequantize().narrow(0, 2, 5)).ShouldBeTrue();
        Should.Throw<ArgumentOutOfRangeException>(() => grid.Dequantize(5, 5));
    }

    [Fact]
    public void An_offset_is_added_and_a_table_is_looked_up()
    {
        using var scope = NewDisposeScope();
        var codes = tensor(new short[] { 0, 1, 2, 3 }).reshape(2, 2);
        var geometry = new GridGeometry(2, 2, 2, false, Granularity.Channel, 1);
        var scales = tensor(new[] { 2f, 3f }).reshape(2, 1);
        using var shifted = Grid.Pack(geometry, codes, scales.clone(), tensor(new[] { 0.5f, -1f }).reshape(2, 1));
        shifted.Dequantize().data<float>().ToArray().ShouldBe([0.5f, 2.5f, 5f, 8f]);
        using var looked = Grid.Pack(geometry, codes, scales.clone(), full([1, 1], 1f), tensor(new[] { -1f, 0f, 0.25f, 1f }));
        looked.Dequantize().data<float>().ToArray().ShouldBe([-1f, 1f, 1.75f, 4f]);
        looked.UnpackedCodes().data<short>().ToArray().ShouldBe([0, 1, 2, 3]);
    }

    [Fact]
    public void Tensors_that_do_not_fit_the_grid_are_refused()
    {
        using var scope = NewDisposeScope();
        var geometry = new GridGeometry(2, 3, 4, true, Granularity.Tensor, 1);
        var codes = zeros(2, 2, dtype: uint8);
        Dense Scales(Tensor? values = null) => new(values ?? ones(1, 1));
        Should.Throw<ArgumentException>(() => new Grid(geometry, zeros(2, 3, dtype: uint8), Scales(), null));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(ones(2, 1)), null));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(ones(1, 1, dtype: float64)), null));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(), zeros(1, 1, dtype: uint8)));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(), zeros(2, 1)));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(), zeros(1, 1, dtype: float64)));
        Should.Throw<ArgumentException>(() => new Grid(geometry, codes, Scales(), null, ones(16)));
        Should.Throw<ArgumentException>(() => new Grid(geometry with { Signed = false }, codes, Scales(), null, ones(8)));
        Should.Throw<ArgumentException>(() => new Grid(geometry with { Signed = false }, codes, Scales(), zeros(1, 1, dtype: uint8), ones(16)));
        Should.Throw<ArgumentException>(() => new Grid(geometry with { Bits = 9 }, codes, Scales(), null));
    }
}
