using System.Text.Json.Nodes;
using PipelineDsl.Runtime.Weights;

using static TorchSharp.torch;

namespace PipelineDsl.Runtime.Tests.Weights;

public sealed class SparseTests
{
    [Fact]
    public void Kept_entries_are_what_they_were_and_all_others_are_zero()
    {
        using var scope = NewDisposeScope();
        var matrix = Forms.Random([5, 9]);
        var mask = matrix.abs() > 1;
        var sparse = Sparse.Of(matrix, mask, float32);
        sparse.Count.ShouldBe(mask.sum().item<long>());
        Compare.SameBits(sparse.Materialize(), matrix.masked_fill(~mask, 0)).ShouldBeTrue();
        sparse.Bytes.ShouldBe((6 * 4) + (sparse.Count * (4 + 2)));
    }

    [Theory]
    [InlineData(32_768, false)]
    [InlineData(32_769, true)]
    public void Indices_take_the_smallest_integer_that_holds_every_column(long columns, bool wide)
    {
        using var scope = NewDisposeScope();
        var matrix = zeros(2, columns);
        matrix[1, columns - 1] = 3;
        var sparse = Sparse.Of(matrix, matrix != 0, float32);
        sparse.Indices.dtype.ShouldBe(wide ? int32 : int16);
        sparse.Materialize()[1, columns - 1].item<float>().ShouldBe(3);
    }

    [Theory]
    [InlineData(new[] { 0, 1, 3 }, new short[] { 2, 0, 2 }, null)]
    [InlineData(new[] { 1, 1, 3 }, new short[] { 2, 0, 2 }, "rows from 1 to 3")]
    [InlineData(new[] { 0, 1, 2 }, new short[] { 2, 0, 2 }, "rows from 0 to 2")]
    [InlineData(new[] { 0, 1, 4 }, new short[] { 2, 0, 2 }, "rows from 0 to 4")]
    [InlineData(new[] { 0, 4, 3 }, new short[] { 2, 0, 2 }, "row 0 ends")]
    [InlineData(new[] { 0, -1, 3 }, new short[] { 2, 0, 2 }, "row 0 ends")]
    [InlineData(new[] { 0, 1, 3 }, new short[] { 2, 2, 0 }, "index 0 of row 1")]
    [InlineData(new[] { 0, 1, 3 }, new short[] { 2, 1, 1 }, "index 1 of row 1")]
    [InlineData(new[] { 0, 1, 3 }, new short[] { 3, 0, 2 }, "index 3 of row 0")]
    [InlineData(new[] { 0, 1, 3 }, new short[] { 2, -1, 2 }, "index -1 of row 1")]
    public void Offsets_and_indices_of_a_file_are_not_trusted(int[] offsets, short[] indices, string? refused)
    {
        var description = JsonNode.Parse("""{"form":"sparse","rows":2,"columns":3,"count":3}""")!.AsObject();
        Expression Read() => Expression.Read(description, leaf => leaf switch { "offsets" => tensor(offsets), "indices" => tensor(indices), _ => ones(3) });
        if (refused is null)
        {
            using var form = Read();
            using var matrix = form.Materialize();
            matrix.data<float>().ToArray().ShouldBe([0, 0, 1, 1, 0, 1]);
        }
        else
        {
            Should.Throw<InvalidDataException>(Read).Message.ShouldContain(refused);
        }
    }
}
